//! The text after the flags in `--help`. At most 80 columns wide: clap would break longer lines anywhere.

/// The help of the program itself.
pub(super) const PROGRAM: &str = "EXAMPLES
  wix-sync init           ask for the configuration, and write .env
  wix-sync doctor         check the configuration
  wix-sync migrate        create the tables
  wix-sync sync           sync all tables
  wix-sync status         show tables and last runs
  wix-sync serve          sync on a schedule, over HTTP and for webhooks

EXIT STATUS
  0    success, nothing left out
  1    failed, or one of several tables failed; the reason is on stderr and in
       sync_logs.error
  2    wrong usage or configuration; nothing was started
  3    success, but something was left out: rejected records, or deletions
       blocked by the safety limit
  4    another run holds the lock
  5    status --max-age, verify, doctor: found a problem
  6    stopped at --time-limit; the next run continues
  129, 130, 143
       stopped by SIGHUP, SIGINT, SIGTERM; the current batch was finished and
       the run recorded as failed

ENVIRONMENT
  WIX_SITE_ID               id of the site (required)
  WIX_API_TOKEN             API key; or, instead of it, an app's credentials:
  WIX_APP_ID, WIX_APP_SECRET, WIX_APP_INSTANCE_ID
  DATABASE_URL              as --database-url; libpq's variables (PGHOST, ...)
                            fill in what it leaves out
  WIX_SYNC_SCHEMA           as --schema
  WIX_RATE_LIMIT            requests to Wix per minute, as --rate-limit
  WIX_SYNC_BATCH_SIZE       rows per transaction, as --batch-size
  WIX_SYNC_MAX_RETRIES      as --max-retries
  WIX_SYNC_RETRY_DELAY_MS   as --retry-delay
  WIX_SYNC_HEALTHCHECK_URL  pinged at start, success and failure of a run
  WIX_API_BASE_URL          default https://www.wixapis.com
  WIX_SYNC_SERVE_TOKEN, WIX_SYNC_CORS_ORIGIN, WIX_WEBHOOK_PUBLIC_KEY,
  WIX_SYNC_HINT_TOKEN       for serve: docs/configuration.md
  HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE, NO_COLOR

Variables are also read from .env in the working directory, or from --env-file.
`wix-sync COMMAND --help` shows examples and exit codes of each command.";

pub(super) const SYNC: &str = "EXAMPLES
  wix-sync sync
  wix-sync sync customers orders
  wix-sync sync orders --full
  wix-sync sync --dry-run
  wix-sync sync --time-limit 10min
  wix-sync sync --metrics-file /var/lib/node_exporter/wix-sync.prom
  wix-sync sync appointments --start 2025-01-01 --end 2025-01-31
  wix-sync sync appointments --start 7d

TIMES
  2025-01-31           a day in UTC; --end includes the day
  2025-01-31T09:30     UTC
  2025-01-31T09:30:00+01:00
  7d, 2h, 90min        that long ago
  Durations are written 90s, 30min, 2h, 7d or 1h 30min.

EXIT STATUS
  0    success, nothing left out
  1    failed, or one of several tables failed; the reason is on stderr and in
       sync_logs.error
  2    wrong usage or configuration; nothing was started
  3    success, but something was left out: rejected records, or deletions
       blocked by the safety limit
  4    another run holds the lock
  6    stopped at --time-limit; the next run continues
  129, 130, 143
       stopped by SIGHUP, SIGINT, SIGTERM; the current batch was finished and
       the run recorded as failed";

pub(super) const VERIFY: &str = "EXAMPLES
  wix-sync verify
  wix-sync verify orders --json
  wix-sync verify customers --repair

EXIT STATUS
  0  all tables match Wix; with --repair: they do now
  1  failed; the result is unknown
  2  wrong usage or configuration; nothing was started
  3  no differences except rejected records; with --repair: something could not
     be fixed
  4  with --repair: another run holds the lock
  5  differences found";

pub(super) const STATUS: &str = "EXAMPLES
  wix-sync status
  wix-sync status --max-age 2h
  wix-sync status --status failed --limit 3
  wix-sync status 4f1c

Times are in UTC. Durations are written 90s, 30min, 2h or 7d.

EXIT STATUS
  0  success
  1  failed, for example because the database cannot be reached
  2  wrong usage or configuration, or no run has this id
  5  with --max-age: the last success of a table is older";

pub(super) const SERVE: &str = "EXAMPLES
  wix-sync serve --every 15m
  WIX_SYNC_SERVE_TOKEN=... wix-sync serve --listen 0.0.0.0:8080
  curl -X POST http://127.0.0.1:8080/api/async-sync/trigger

docs/serve.md describes the routes, docs/webhooks.md the webhooks. Runs of the
server and runs that others start, such as cron, exclude each other.

EXIT STATUS
  0  stopped by SIGINT, SIGTERM or SIGHUP: the current run finished its batch
     and is recorded as failed; the next run continues
  1  failed, for example because the database cannot be reached at the start
  2  wrong usage or configuration; nothing was started";

pub(super) const MIGRATE: &str = "EXAMPLES
  wix-sync migrate
  wix-sync migrate --dry-run
  wix-sync migrate --schema wix

EXIT STATUS
  0  the tables are up to date
  1  failed and nothing was changed, or a problem remains that migrate cannot
     repair: then the SQL for it is shown
  2  wrong usage or configuration, or existing tables are in the way; nothing
     was changed";

pub(super) const INIT: &str = "EXAMPLES
  wix-sync init
  wix-sync init --env-file /etc/wix-sync/shop.env --no-sync
  WIX_API_TOKEN=... DATABASE_URL=... wix-sync init --site-id ID --yes

Without a terminal nothing is asked: values come from flags, variables and the
.env file. Its other lines are kept.

EXIT STATUS
  0    the file is written, and what was to be run succeeded
  1    failed, for example because Wix or the database cannot be reached
  2    a value is missing or was refused; nothing was written
  130  stopped by Ctrl-C; nothing was written
  With --sync or --yes also those of sync";

pub(super) const DOCTOR: &str = "EXAMPLES
  wix-sync doctor
  wix-sync doctor --json | jq '.checks[] | select(.status != \"ok\")'

EXIT STATUS
  0  no problems; there may be warnings
  2  wrong usage
  5  problems were found: a sync would fail or leave something out, or data is
     not safe";

pub(super) const ERRORS: &str = "EXAMPLES
  wix-sync errors
  wix-sync errors list --json
  wix-sync errors retry orders

EXIT STATUS
  As of `wix-sync sync`; 3 means that records were rejected again.";

pub(super) const COMPLETIONS: &str = "EXAMPLES
  wix-sync completions bash >/etc/bash_completion.d/wix-sync
  wix-sync completions zsh >\"${fpath[1]}/_wix-sync\"
  wix-sync completions fish >~/.config/fish/completions/wix-sync.fish";

pub(super) const MAN: &str = "EXAMPLES
  wix-sync man | man -l -
  wix-sync man /usr/local/share/man/man1";

/// Sections that only man pages have.
pub(super) const MAN_ENVIRONMENT: &str = "wix-sync(1) lists the variables.";

pub(super) const MAN_FILES: &str = "  .env
      variables, one NAME=value per line, in the working directory;
      --env-file names another file
  ~/.pgpass
      passwords of Postgres, as psql reads them
  ~/.postgresql/root.crt, postgresql.crt, postgresql.key
      certificates for Postgres, as psql reads them";

pub(super) const MAN_SEE_ALSO: &str = "wix-sync(1), wix-sync-init(1), wix-sync-sync(1), wix-sync-status(1),
wix-sync-doctor(1), wix-sync-verify(1), wix-sync-errors(1), wix-sync-migrate(1),
wix-sync-serve(1), crontab(5), psql(1)";
