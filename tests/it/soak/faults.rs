//! The faults of a soak: everything that the simulator can do wrong, armed at random.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use fastrand::Rng;
use wix_sim::{Endpoint, Fault, Sim};

const LISTINGS: [Endpoint; 3] = [Endpoint::ContactsQuery, Endpoint::BookingsQuery, Endpoint::OrdersSearch];
const ANYWHERE: [Endpoint; 7] = [
    Endpoint::ContactsQuery,
    Endpoint::BookingsQuery,
    Endpoint::OrdersSearch,
    Endpoint::ContactGet,
    Endpoint::OrderGet,
    Endpoint::OauthToken,
    Endpoint::Any,
];

/// Makes one fault of its kind.
type Make = fn(&mut Rng, &Sim, Endpoint) -> Fault;

/// A kind of fault.
struct Kind {
    name: &'static str,
    /// Where it can strike.
    places: &'static [Endpoint],
    /// True if a run that meets it has to be ended by a time limit: it waits longer than a test has time.
    is_long: bool,
    make: Make,
}

const fn kind(name: &'static str, places: &'static [Endpoint], make: Make) -> Kind {
    Kind { name, places, is_long: false, make }
}

const fn long(name: &'static str, make: Make) -> Kind {
    Kind { name, places: &ANYWHERE, is_long: true, make }
}

const KINDS: [Kind; 31] = [
    kind("429 for a second", &LISTINGS, |_, _, at| Fault::on(at).throttled().retry_after("1")),
    kind("429 until a date", &LISTINGS, |_, sim, at| {
        let date = (sim.now() + TimeDelta::seconds(1)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        Fault::on(at).throttled().retry_after(&date)
    }),
    kind("429 for 0 seconds", &ANYWHERE, |random, _, at| {
        Fault::on(at).times(random.usize(1..6)).throttled().retry_after("0")
    }),
    long("429 for ages", |_, _, at| Fault::on(at).throttled().retry_after("99999999999")),
    long("429 without a time", |_, _, at| Fault::on(at).throttled()),
    long("no answer", |_, _, at| Fault::on(at).hang()),
    kind("500", &ANYWHERE, |random, _, at| Fault::on(at).times(random.usize(1..5)).system_error()),
    kind("502 as HTML", &ANYWHERE, |_, _, at| Fault::on(at).status(502).html("<html>bad gateway</html>")),
    kind("503 as HTML", &ANYWHERE, |random, _, at| Fault::on(at).times(random.usize(1..4)).gateway_html()),
    kind("504", &ANYWHERE, |_, _, at| Fault::on(at).status(504)),
    kind("200 as HTML", &ANYWHERE, |_, _, at| Fault::on(at).html("<!doctype html><title>Please wait</title>")),
    kind("a cut body", &ANYWHERE, |random, _, at| Fault::on(at).times(random.usize(1..4)).cut_body()),
    kind("a cut chunked body", &ANYWHERE, |_, _, at| Fault::on(at).cut_chunked_body()),
    kind("a body without an end", &ANYWHERE, |_, _, at| Fault::on(at).body("{\"orders\":[").padded(usize::MAX)),
    kind("a gzip bomb", &ANYWHERE, |_, _, at| Fault::on(at).body("{\"contacts\":[").padded(200_000_000).gzip()),
    kind("a page of 9 MB", &LISTINGS, |_, _, at| {
        // Spaces: the records stay as they are.
        Fault::on(at).rewrite(|_, body| body.replacen('{', &format!("{{{}", " ".repeat(9_000_000)), 1))
    }),
    kind("an empty body", &ANYWHERE, |_, _, at| Fault::on(at).empty_body()),
    kind("a body of another shape", &ANYWHERE, |random, _, at| {
        Fault::on(at).body(*random.choice(&["{}", "[]", "null"]).expect("some"))
    }),
    kind("a closed connection", &ANYWHERE, |random, _, at| Fault::on(at).times(random.usize(1..4)).close()),
    kind("a late answer", &ANYWHERE, |random, _, at| Fault::on(at).delay(Duration::from_millis(random.u64(10..400)))),
    kind("401", &ANYWHERE, |_, _, at| Fault::on(at).unauthenticated()),
    kind("403 for a while", &ANYWHERE, |random, _, at| Fault::on(at).times(random.usize(1..5)).permission_missing()),
    kind("428 for a while", &LISTINGS, |random, _, at| Fault::on(at).times(random.usize(1..3)).app_not_installed()),
    kind("a dying cursor", &LISTINGS, |random, _, at| Fault::on(at).times(random.usize(1..4)).expire_cursors()),
    kind("a repeated page", &LISTINGS, |_, _, at| Fault::on(at).repeat_page()),
    kind("short pages", &LISTINGS, |random, _, at| {
        Fault::on(at).times(random.usize(1..9)).short_page(random.usize(1..60))
    }),
    kind("an empty page", &[Endpoint::BookingsQuery, Endpoint::OrdersSearch], |_, _, at| Fault::on(at).empty_page()),
    kind("no total", &[Endpoint::ContactsQuery], |random, _, at| {
        Fault::on(at).times(random.usize(1..6)).without_total()
    }),
    kind("no date", &LISTINGS, |random, _, at| Fault::on(at).times(random.usize(1..3)).without_header("date")),
    kind("a refused sort", &LISTINGS, |_, _, at| Fault::on(at).refuse_sort()),
    kind("a stale answer", &LISTINGS, |random, _, at| Fault::on(at).times(random.usize(1..5)).stale()),
];

/// What was armed how often, by its name.
pub(crate) type Armed = BTreeMap<&'static str, usize>;

/// Arms some faults. True if one of them makes a run wait longer than a test has time.
pub(crate) fn arm(sim: &Sim, random: &mut Rng, armed: &mut Armed) -> bool {
    let mut is_long = false;
    for _ in 0..random.usize(0..4) {
        let Some(kind) = random.choice(&KINDS) else { break };
        // The long ones cost a second each.
        if kind.is_long && random.bool() {
            continue;
        }
        let Some(place) = random.choice(kind.places) else { break };
        let nth = if random.bool() { 1 } else { random.usize(1..7) };
        sim.fault((kind.make)(random, sim, *place).nth(nth));
        *armed.entry(kind.name).or_default() += 1;
        is_long |= kind.is_long;
    }
    if random.u8(0..10) == 0 {
        sim.on_request(Endpoint::Any, random.usize(1..6), |sim| sim.revoke_tokens());
        *armed.entry("revoked tokens").or_default() += 1;
    }
    if random.u8(0..10) == 0 {
        sim.on_request(Endpoint::Any, random.usize(1..6), |sim| sim.expire_cursors());
        *armed.entry("expired cursors").or_default() += 1;
    }
    is_long
}
