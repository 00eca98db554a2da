//! The actors of a soak that stand for trouble in the database: a trigger that refuses records, and times that a run on a
//! machine with a wrong clock has stored.

use crate::soak::Soak;
use crate::soak::actors::result_of;
use crate::soak::checks::TABLES;
use crate::support::running::Running;

/// SQLSTATEs that the trigger raises, whatever they mean when the server itself reports them.
const STATES: [&str; 8] = ["PT409", "45000", "42501", "55000", "XX000", "57014", "40001", "08006"];

impl Soak {
    /// A trigger of the user refuses some records of a table for the time of a run, or what happens to their rows. Then it is
    /// gone, and the records are tried again.
    pub(crate) fn with_a_refusing_trigger(&mut self) {
        let (table, key) = *self.random.choice(&TABLES).expect("some");
        let state = *self.random.choice(&STATES).expect("some");
        let part = self.random.u8(0..16);
        let when = *self.random.choice(&["insert or update", "update", "insert"]).expect("some");
        let trigger = match self.random.bool() {
            true => format!("create trigger refuse before {when} on {table}"),
            false => format!("create constraint trigger refuse after {when} on {table} deferrable initially deferred"),
        };
        self.world.execute(&format!(
            "create function soak.refuse() returns trigger language plpgsql as $$ begin
                if get_byte(decode(md5(new.{key}), 'hex'), 0) % 16 = {part} then
                    raise exception 'refused' using errcode = '{state}';
                end if;
                return new;
             end $$;
             {trigger} for each row execute function soak.refuse()"
        ));
        self.numbers.note_act("a trigger that refuses");
        self.journal.push(format!("   {trigger}: {state} for part {part}"));
        let running = self.start();
        self.end(running, true);
        self.world.execute("drop function soak.refuse() cascade");
        self.clear_faults();
        self.cure();
        let arguments = ["errors", "retry", "--json"];
        let command = self.command(&arguments);
        let finished = self.end(Running::of(&arguments, command), true);
        self.expect(matches!(finished.code, Some(0 | 3)), || format!("what was refused stays: {finished:#?}"));
        if self.random.bool() {
            self.calm();
        }
    }

    /// An earlier run has stored times that are still to come: nothing may wait for them.
    pub(crate) fn with_a_wrong_clock(&mut self) {
        let ahead = *self.random.choice(&["1 day", "1 year", "10 years"]).expect("some");
        self.world.execute(&format!(
            "update sync_state set last_full_pass_at = last_full_pass_at + interval '{ahead}',
                last_success_at = last_success_at + interval '{ahead}';
             update sync_errors set last_failed_at = last_failed_at + interval '{ahead}' where resolved_at is null;
             update sync_missing set tried_at = tried_at + interval '{ahead}';
             update sync_locks set expires_at = clock_timestamp() + interval '{ahead}'"
        ));
        self.numbers.note_act("a clock that was ahead");
        self.journal.push(format!("   a clock that was {ahead} ahead"));
        let arguments = ["sync", "all", "--json"];
        let command = self.command(&arguments);
        let finished = self.end(Running::of(&arguments, command), true);
        if matches!(finished.code, Some(0 | 3)) {
            let result = result_of(&finished);
            for (table, _) in TABLES {
                let is_full = result["results"][table]["kind"] == "full";
                self.expect(is_full, || format!("{table} waits for a time that is still to come: {finished:#?}"));
            }
        }
    }
}
