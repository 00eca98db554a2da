//! `wix-sync init`: asks for the settings, tests them, and writes a `.env` file.

use std::io;
use std::path::PathBuf;
use std::thread;

use anyhow::anyhow;
use clap::Parser;
use tokio::sync::oneshot;

use super::args::{Args, Command, InitArgs, MigrateArgs};

use super::failure::Failure;
use super::session::Invocation;
use super::{migrate, signals, sync};
use crate::config::{EnvFile, Environment};
use crate::doctor::{Finding, examine_database, examine_wix};
use crate::exit::Exit;
use crate::report::prompt;
use crate::stop::{Stop, StopReason, stop_pair};

const DEFAULT_FILE: &str = ".env";

const API_KEY: &str = "WIX_API_TOKEN";
/// App id, app secret and instance id, each with its alternative name.
const APP: [[&str; 2]; 3] = [
    ["WIX_APP_ID", "WIX_CLIENT_ID"],
    ["WIX_APP_SECRET", "WIX_CLIENT_SECRET"],
    ["WIX_APP_INSTANCE_ID", "WIX_INSTANCE_ID"],
];

const ABOUT_SITE: &str =
    "\nThe site id is behind /dashboard/ in the address of the site's dashboard at manage.wix.com.";
const ABOUT_CREDENTIALS: &str = "\nCredentials: an API key (manage.wix.com/account/api-keys, an account's owner creates it; it needs the \
    permissions to\nread contacts, bookings and eCommerce orders of this site), or the id, secret and instance id of an app of your own.";
const ABOUT_DATABASE: &str = "\nThe database is a connection string such as postgresql://USER:PASSWORD@HOST:5432/DATABASE. Supabase shows it \
    under Connect:\ntake the session pooler, put the database password in place of [YOUR-PASSWORD], and write @ : / ? # % in \
    it as %40 %3A %2F %3F %23 %25.";

/// The state of the dialog.
struct Dialog<'a> {
    invocation: &'a Invocation<'a>,
    args: &'a InitArgs,
    path: PathBuf,
    environment: Environment,
    /// The variables that will be written, in order; `None` removes one.
    changes: Vec<(&'static str, Option<String>)>,
    can_ask: bool,
    stop: Stop,
    terminal: prompt::TerminalState,
}

pub(super) async fn run(invocation: &Invocation<'_>, args: &InitArgs) -> Result<Exit, Failure> {
    let (stopper, stop) = stop_pair();
    let can_ask = prompt::can_ask() && !args.yes;
    if can_ask {
        signals::listen(stopper.clone())?;
    }
    let path = invocation.global.env_file.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let terminal = prompt::TerminalState::save();
    let environment = invocation.environment.clone();
    let mut dialog = Dialog { invocation, args, path, environment, changes: Vec::new(), can_ask, stop, terminal };
    dialog.take_flags();
    dialog.refuse_missing()?;
    dialog.answer_wix().await?;
    dialog.answer_database().await?;
    dialog.write().await?;
    let exit = dialog.continue_with_commands().await;
    drop(stopper);
    exit
}

impl Dialog<'_> {
    /// Flags override variables.
    fn take_flags(&mut self) {
        let InitArgs { site_id, api_key, app_id, app_secret, instance_id, .. } = self.args;
        let global = self.invocation.global;
        if api_key.is_none() && (app_id.is_some() || app_secret.is_some() || instance_id.is_some()) {
            self.set(API_KEY, None);
        }
        for (name, value) in [
            ("WIX_SITE_ID", site_id),
            (API_KEY, api_key),
            (APP[0][0], app_id),
            (APP[1][0], app_secret),
            (APP[2][0], instance_id),
            ("DATABASE_URL", &global.database_url),
            ("WIX_SYNC_SCHEMA", &global.schema),
        ] {
            if let Some(value) = value {
                self.set(name, Some(value.trim().to_owned()));
            }
        }
    }

    fn set(&mut self, name: &'static str, value: Option<String>) {
        self.environment.set(name, value.as_deref());
        self.changes.retain(|(known, _)| *known != name);
        self.changes.push((name, value));
    }

    /// The value of a variable, under any of its names.
    fn get(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.environment.get(name)).map(str::to_owned)
    }

    fn uses_app(&self) -> bool {
        self.environment.get(API_KEY).is_none() && APP.iter().any(|names| self.get(names).is_some())
    }

    /// Without a terminal, all values are required. All missing ones are named at once.
    fn refuse_missing(&self) -> Result<(), Failure> {
        if self.can_ask {
            return Ok(());
        }
        let mut missing = Vec::new();
        if self.environment.get("WIX_SITE_ID").is_none() {
            missing.push("--site-id (WIX_SITE_ID)".to_owned());
        }
        if self.uses_app() {
            let flags = ["--app-id", "--app-secret", "--instance-id"];
            let parts = flags.iter().zip(APP).filter(|(_, names)| self.get(names).is_none());
            missing.extend(parts.map(|(flag, names)| format!("{flag} ({})", names[0])));
        } else if self.environment.get(API_KEY).is_none() {
            missing.push("--api-key (WIX_API_TOKEN), or --app-id, --app-secret and --instance-id".to_owned());
        }
        if self.environment.get("DATABASE_URL").is_none() {
            missing.push("--database-url (DATABASE_URL)".to_owned());
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure {
            exit: Exit::Usage,
            error: anyhow!("init needs a terminal to ask, or these values: {}", missing.join("; ")),
            hint: Some("give each as a flag or as the variable in brackets; secrets are safer in variables".to_owned()),
        })
    }

    /// Asks for site and credentials. They can only be tested together.
    async fn answer_wix(&mut self) -> Result<(), Failure> {
        loop {
            if self.can_ask {
                prompt::say(ABOUT_SITE)?;
                self.ask_text("WIX_SITE_ID", "Site id").await?;
                prompt::say(ABOUT_CREDENTIALS)?;
                let uses_key = !self.uses_app();
                if self.ask_yes_no("Use an API key (no: an app)?".to_owned(), uses_key).await? {
                    APP.iter().flatten().for_each(|name| self.set(name, None));
                    self.ask_secret(API_KEY, "API key").await?;
                } else {
                    self.set(API_KEY, None);
                    for ([name, other], question) in
                        APP.into_iter().zip(["App id", "App secret", "Instance id of the app on this site"])
                    {
                        if let (None, Some(value)) = (self.environment.get(name), self.get(&[other])) {
                            self.set(name, Some(value));
                        }
                        match name == APP[1][0] {
                            true => self.ask_secret(name, question).await?,
                            false => self.ask_text(name, question).await?,
                        }
                        self.set(other, None);
                    }
                }
            }
            for name in ["WIX_SITE_ID", API_KEY].into_iter().chain(APP.map(|names| names[0])) {
                self.keep(name);
            }
            let findings = examine_wix(&self.environment).await;
            if self.accepts(&findings).await? {
                return Ok(());
            }
        }
    }

    async fn answer_database(&mut self) -> Result<(), Failure> {
        loop {
            if self.can_ask {
                prompt::say(ABOUT_DATABASE)?;
                self.ask_secret("DATABASE_URL", "Connection string").await?;
            }
            self.keep("DATABASE_URL");
            let findings = examine_database(&self.environment).await;
            if self.accepts(&findings).await? {
                return Ok(());
            }
        }
    }

    /// A value that is already set, by the environment or the file, is also written.
    fn keep(&mut self, name: &'static str) {
        if let Some(value) = self.get(&[name]) {
            self.set(name, Some(value));
        }
    }

    /// Shows the result of a test. On a terminal, a wrong value is asked again unless the user keeps it.
    async fn accepts(&mut self, findings: &[Finding]) -> Result<bool, Failure> {
        let problems: Vec<&Finding> = findings.iter().filter(|finding| finding.outcome.is_problem()).collect();
        if self.can_ask {
            prompt::say("")?;
            prompt::say_findings(findings)?;
            return match problems.is_empty() {
                true => Ok(true),
                false => self.ask_yes_no("There are problems. Keep these answers anyway?".to_owned(), false).await,
            };
        }
        let Some(first) = problems.first() else { return Ok(true) };
        let exit = if problems.iter().any(|finding| finding.outcome.may_pass) { Exit::Failed } else { Exit::Usage };
        let messages: Vec<String> =
            problems.iter().map(|finding| format!("{}: {}", finding.check, finding.outcome.message)).collect();
        let hint = first.outcome.hint.clone();
        Err(Failure { exit, error: anyhow!("nothing was written: {}", messages.join("; ")), hint })
    }

    async fn write(&mut self) -> Result<(), Failure> {
        let label = self.path.display().to_string();
        let fail = |error: io::Error| Failure {
            exit: Exit::Failed,
            error: anyhow!("{label} cannot be written: {error}"),
            hint: Some("choose a directory that is writable for this user, or another file with --env-file".to_owned()),
        };
        let mut file = EnvFile::read(&self.path).map_err(fail)?;
        let changes: Vec<(&str, Option<String>)> = self
            .changes
            .iter()
            .filter(|(name, value)| file.get(name) != *value)
            .map(|(name, value)| (*name, value.clone()))
            .collect();
        let replaced: Vec<&str> = changes
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| file.get(name).is_some_and(|value| !value.is_empty()))
            .collect();
        if !replaced.is_empty() && !self.args.force {
            let names = replaced.join(", ");
            let question = format!("{label} has other values for {names}. Replace them?");
            if !self.can_ask || !self.ask_yes_no(question, false).await? {
                return Err(Failure {
                    exit: Exit::Usage,
                    error: anyhow!("nothing was written: {label} has other values for {names}"),
                    hint: Some("replace them with --force, or write another file with --env-file".to_owned()),
                });
            }
        }
        for (name, value) in changes {
            file.set(name, value.as_deref());
        }
        file.write(&self.path).map_err(fail)?;
        prompt::say(&format!("\n{label} is written, readable for you only."))?;
        Ok(())
    }

    /// Offers the next commands.
    async fn continue_with_commands(&mut self) -> Result<Exit, Failure> {
        let InitArgs { migrate: wants_migrate, no_migrate, sync: wants_sync, no_sync, yes, .. } = *self.args;
        let question = "Create or update the tables now (wix-sync migrate)?";
        if !self.decide(question, (wants_migrate || wants_sync || yes, no_migrate)).await? {
            prompt::say("Next: `wix-sync migrate`, then `wix-sync sync`.")?;
            return Ok(Exit::Done);
        }
        let migration = MigrateArgs { keep_policies: false, dry_run: false };
        migrate::run(self.invocation.global, &migration, &self.environment).await?;
        let question = "Start the first sync now (wix-sync sync)?";
        if !self.decide(question, (wants_sync || yes, no_sync)).await? {
            prompt::say("Next: `wix-sync sync`.")?;
            return Ok(Exit::Done);
        }
        let Command::Sync(args) = Args::parse_from(["wix-sync", "sync"]).command else {
            unreachable!("that is what was parsed")
        };
        let invocation = Invocation { environment: &self.environment, ..*self.invocation };
        sync::run(&invocation, &args).await
    }

    async fn decide(&self, question: &str, (yes, no): (bool, bool)) -> Result<bool, Failure> {
        match (yes, no) {
            (_, true) => Ok(false),
            (true, false) => Ok(true),
            (false, false) if self.can_ask => self.ask_yes_no(question.to_owned(), true).await,
            (false, false) => Ok(false),
        }
    }

    /// Asks until there is a value. The current value is the default.
    async fn ask_text(&mut self, name: &'static str, question: &'static str) -> Result<(), Failure> {
        loop {
            let default = self.get(&[name]);
            let answer = self.ask(move || prompt::ask_text(question, default.as_deref())).await?;
            if self.take(name, &answer)? {
                return Ok(());
            }
        }
    }

    async fn ask_secret(&mut self, name: &'static str, question: &'static str) -> Result<(), Failure> {
        loop {
            let note = if self.get(&[name]).is_some() { "not shown; Enter: unchanged" } else { "not shown" };
            let answer = self.ask(move || prompt::ask_secret(&format!("{question} ({note})"))).await?;
            if answer.trim().is_empty() && self.get(&[name]).is_some() || self.take(name, &answer)? {
                return Ok(());
            }
        }
    }

    /// False if the input is not usable.
    fn take(&mut self, name: &'static str, answer: &str) -> Result<bool, Failure> {
        let answer = answer.trim();
        if answer.is_empty() || answer.chars().any(char::is_control) {
            prompt::say("A value is needed, without control characters. Ctrl-C ends this without writing anything.")?;
            return Ok(false);
        }
        self.set(name, Some(answer.to_owned()));
        Ok(true)
    }

    async fn ask_yes_no(&self, question: String, default: bool) -> Result<bool, Failure> {
        self.ask(move || prompt::ask_yes_no(&question, default)).await
    }

    /// Asks on another thread, which is abandoned after a signal, because reading from the terminal cannot be
    /// cancelled.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (sender, answer) = oneshot::channel();
        thread::spawn(move || drop(sender.send(question())));
        let answer = tokio::select! {
            biased;
            reason = self.stop.wait() => return Err(self.interrupted(reason)),
            answer = answer => answer,
        };
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            // Ctrl-C, which the terminal passed as a key.
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                Err(self.interrupted(StopReason::Interrupt))
            }
            Ok(Err(error)) => Err(Failure::from(error)),
            Err(_) => Err(Failure { exit: Exit::Failed, error: anyhow!("the terminal could not be read"), hint: None }),
        }
    }

    fn interrupted(&self, reason: StopReason) -> Failure {
        // The terminal may be gone.
        if let Err(error) = self.terminal.restore() {
            tracing::debug!(error = error.to_string(), "the terminal could not be restored");
        }
        Failure { exit: Exit::of_stop(reason), error: anyhow!("{reason}: the question was not answered"), hint: None }
    }
}
