//! Adapts the page size for lists with records so large that a page cannot be read to its end.

use crate::wix::Oversize;

/// Target size of a page in bytes, after one was too large.
const TARGET_BYTES: usize = 3_000_000;

/// Maximum factor by which pages grow.
const GROWTH: u32 = 4;

/// Maximum number of records per page, according to their size.
#[derive(Debug, Default)]
pub(super) struct PageSize {
    /// `None` until a page is too large, and again once the usual page size fits.
    limit: Option<u32>,
    /// True if a page of one record was too large.
    is_one_too_large: bool,
}

impl PageSize {
    pub(super) fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Notes that a page of at most `limit` records was not read to its end.
    pub(super) fn shrink(&mut self, limit: u32, page: &Oversize) {
        let next = match page.excerpt {
            // One record is larger than a page may be. The records before it are read without it.
            Some(_) => page.records,
            None => fitting(page.records, page.read).min(limit / 2),
        };
        self.limit = Some(next.clamp(1, limit.max(2) - 1));
    }

    /// Notes that a page of one record was too large. Returns true if that happened twice in a row. Only then is the
    /// record skipped, since a single response may be damaged.
    pub(super) fn is_one_too_large_again(&mut self) -> bool {
        self.is_one_too_large = !self.is_one_too_large;
        !self.is_one_too_large
    }

    /// Notes that a page was read to its end. The size grows in steps, because a cursor may not allow another limit,
    /// and then a change costs a request.
    pub(super) fn note(&mut self, records: usize, bytes: usize, whole: u32) {
        self.is_one_too_large = false;
        let Some(limit) = self.limit else { return };
        let next = fitting(u32::try_from(records).unwrap_or(u32::MAX), bytes).min(limit.saturating_mul(GROWTH));
        if records > 0 && next >= limit.saturating_mul(2) {
            self.limit = (next < whole).then_some(next);
        }
    }
}

/// Number of records of this size per page of [`TARGET_BYTES`].
fn fitting(records: u32, bytes: usize) -> u32 {
    let fitting = (records as usize).saturating_mul(TARGET_BYTES) / bytes.max(1);
    u32::try_from(fitting).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::PageSize;
    use crate::wix::Oversize;

    fn page(records: u32, excerpt: Option<&str>) -> Oversize {
        Oversize { read: 8_000_000, records, excerpt: excerpt.map(str::to_owned) }
    }

    #[test]
    fn pages_shrink_to_what_fits_and_grow_back_by_steps() {
        let mut size = PageSize::default();
        size.note(1_000, 7_000_000, 1_000);
        assert_eq!(size.limit(), None, "a page that came is none too large");
        size.shrink(1_000, &page(160, None));
        assert_eq!(size.limit(), Some(60));
        size.note(60, 3_000_000, 1_000);
        size.note(60, 2_000_000, 1_000);
        assert_eq!(size.limit(), Some(60), "small steps are not made");
        size.note(60, 30_000, 1_000);
        assert_eq!(size.limit(), Some(240));
        size.note(240, 120_000, 1_000);
        assert_eq!(size.limit(), Some(960));
        size.note(960, 480_000, 1_000);
        assert_eq!(size.limit(), None);
    }

    #[test]
    fn pages_shrink_down_to_one_record() {
        for excerpt in [None, Some("{}")] {
            for records in [0, 1, 50, 5_000] {
                let mut size = PageSize::default();
                let mut limit = 100;
                while limit > 1 {
                    size.shrink(limit, &page(records, excerpt));
                    let next = size.limit().unwrap();
                    assert!((1..limit).contains(&next), "{records}: {limit}, {next}");
                    limit = next;
                }
            }
        }
    }
}
