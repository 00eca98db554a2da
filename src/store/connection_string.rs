//! Connection strings: URLs and `key=value` pairs, split as libpq splits them. [`super::options`] interprets the
//! options.
//!
//! The driver's own parser is not used: it does not show which options are missing and must come from libpq's
//! variables, it refuses unknown options, and it reads `postgresql://a,b?port=5433` as three ports.
//!
//! An error never quotes text that could be part of a password. For the same reason an `@` after the host of a URL is
//! refused, although libpq accepts it: it is usually the end of a password that was not percent-encoded.

use percent_encoding::percent_decode_str;

/// Options with their values, in the order of the string. If a name occurs twice, the last one counts.
type Pairs = Vec<(String, String)>;

pub(super) fn parse(text: &str) -> Result<Pairs, String> {
    let text = text.trim();
    if text.to_ascii_uppercase().contains("[YOUR-PASSWORD]") {
        return Err("it still holds the placeholder [YOUR-PASSWORD]; put the database password there".to_owned());
    }
    match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        Some(rest) => parse_url(rest),
        None => match not_a_postgres_url(text) {
            Some(reason) => Err(reason.to_owned()),
            None => parse_keywords(text),
        },
    }
}

/// The reason why a URL that does not start with `postgresql://` is not a connection string. The URL is never quoted,
/// because it may contain the password.
fn not_a_postgres_url(text: &str) -> Option<&'static str> {
    let (before, behind) = text.split_once("://")?;
    let scheme = before.to_ascii_lowercase();
    // The `://` may be part of a value.
    if before.contains('=') {
        return None;
    }
    if before.starts_with(['"', '\'', '`', '“', '‘']) {
        return Some(
            "it is in quotation marks, and here they are part of the value (Docker's --env-file keeps them); remove them",
        );
    }
    match scheme.as_str() {
        "http" | "https" if behind.contains("supabase.") => Some(
            "it is the address of the Supabase project, not of its database; copy the connection string that the dashboard \
             shows under Connect: postgresql://postgres.PROJECT_REF:PASSWORD@…pooler.supabase.com:5432/postgres",
        ),
        "http" | "https" => {
            Some("it is a web address; a connection string is postgresql://USER:PASSWORD@HOST:5432/DATABASE")
        }
        _ if scheme.contains("postgres") || scheme.starts_with("psql") => {
            Some("it must begin with postgresql://; replace what is before the `://` (`psql`, `jdbc:`, `+driver`)")
        }
        _ => None,
    }
}

const ENCODE: &str = "in a password `@` must be written %40, `/` %2F, `?` %3F and `#` %23";

/// `USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?OPTION=VALUE&OPTION=VALUE`; every part is optional.
fn parse_url(rest: &str) -> Result<Pairs, String> {
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.matches('@').count() > 1 {
        return Err(format!("there is more than one `@` before the host; {ENCODE}"));
    }
    if !authority.is_empty() && path.contains('@') {
        return Err(format!("there is an `@` after the host; {ENCODE}, also in other parts of the URL"));
    }
    let (login, places) = authority.split_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (hosts, ports): (Vec<&str>, Vec<&str>) = places.split(',').map(host_and_port).collect::<Result<_, _>>()?;
    let ports = if ports.iter().all(|port| port.is_empty()) { String::new() } else { ports.join(",") };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let database = path.strip_prefix('/').unwrap_or(path);
    let hosts = hosts.join(",");
    let mut pairs =
        vec![("user", user), ("password", password), ("host", &hosts), ("port", &ports), ("dbname", database)];
    for option in query.split('&').filter(|option| !option.is_empty()) {
        pairs.push(option.split_once('=').ok_or_else(|| format!("an option after the `?` has no value; {ENCODE}"))?);
    }
    pairs.into_iter().map(|(key, value)| Ok((decode(key)?, decode(value)?))).collect()
}

/// `host:port`, or `[address]:port` for an address with colons.
fn host_and_port(place: &str) -> Result<(&str, &str), String> {
    let Some(bracketed) = place.strip_prefix('[') else {
        return Ok(place.split_once(':').unwrap_or((place, "")));
    };
    let (address, rest) = bracketed.split_once(']').ok_or("a `[` before an address has no `]` after it")?;
    match rest.strip_prefix(':') {
        Some(port) => Ok((address, port)),
        None if rest.is_empty() => Ok((address, "")),
        None => Err("after the `]` of an address only `:` and a port may follow".to_owned()),
    }
}

fn decode(text: &str) -> Result<String, String> {
    let is_byte = |digits: &str| digits != "00" && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(|rest| rest.get(..2).is_some_and(is_byte)) {
        return Err("a `%` in it begins no character; a `%` itself must be written %25".to_owned());
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "it is not UTF-8 once it is decoded")?;
    Ok(decoded.into_owned())
}

/// `key=value key = 'quoted value'`; a backslash escapes the next character.
fn parse_keywords(text: &str) -> Result<Pairs, String> {
    let mut pairs = Pairs::new();
    let mut rest = text;
    while !rest.is_empty() {
        let pair = rest.split_once('=').map(|(key, value)| (key.trim_end(), value.trim_start()));
        let pair = pair.filter(|(key, _)| !key.is_empty() && !key.contains(char::is_whitespace));
        let (key, body) = pair.ok_or(if pairs.is_empty() {
            "it is neither a postgresql:// URL nor a list of key=value pairs"
        } else {
            "one of its parts is not a key=value pair; a value with spaces must be in single quotes"
        })?;
        let quoted = body.strip_prefix('\'');
        let mut characters = quoted.unwrap_or(body).chars();
        let mut value = String::new();
        loop {
            match characters.next() {
                Some('\\') => value.extend(characters.next()),
                Some('\'') if quoted.is_some() => break,
                Some(c) if quoted.is_none() && c.is_whitespace() => break,
                Some(c) => value.push(c),
                None if quoted.is_some() => return Err("a quoted value does not end".to_owned()),
                None => break,
            }
        }
        pairs.push((key.to_owned(), value));
        rest = characters.as_str().trim_start();
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn parsed(text: &str, expected: &[(&str, &str)]) {
        let pairs = parse(text).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let pairs: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        assert_eq!(pairs, expected, "{text}");
    }

    #[test]
    fn urls_are_read_as_libpq_reads_them() {
        parsed(
            "postgres://a%20b:p%40%3a%2Fs@h.example:6543/d%20e?sslmode=require&application_name=my%20app",
            &[
                ("user", "a b"),
                ("password", "p@:/s"),
                ("host", "h.example"),
                ("port", "6543"),
                ("dbname", "d e"),
                ("sslmode", "require"),
                ("application_name", "my app"),
            ],
        );
        parsed("postgresql://u:a:b@h", &[("user", "u"), ("password", "a:b"), ("host", "h")]);
        parsed("postgresql://h1:1,h2,[::1]:3/", &[("host", "h1,h2,::1"), ("port", "1,,3")]);
        parsed("postgresql://h1,h2?port=7", &[("host", "h1,h2"), ("port", "7")]);
        parsed("postgresql://[fe80::1%25eth0]/d", &[("host", "fe80::1%eth0"), ("dbname", "d")]);
        parsed("postgresql://u@%2Fvar%2Frun/d", &[("user", "u"), ("host", "/var/run"), ("dbname", "d")]);
        parsed("postgresql://u@/d?host=/var/run", &[("user", "u"), ("dbname", "d"), ("host", "/var/run")]);
        parsed("postgresql:///d?user=a@b", &[("dbname", "d"), ("user", "a@b")]);
        parsed("postgresql://", &[]);
    }

    #[test]
    fn keyword_strings_know_quotes_and_escapes() {
        parsed(
            r"host=/var/run/postgresql user = u password='it\'s \\ here' dbname=a\ b options='' port= 5",
            &[
                ("host", "/var/run/postgresql"),
                ("user", "u"),
                ("password", r"it's \ here"),
                ("dbname", "a b"),
                ("port", "5"),
            ],
        );
        parsed("", &[]);
    }

    #[test]
    fn mistakes_are_named_and_passwords_are_not() {
        for (text, part) in [
            ("postgresql://u:p4@ss@h/d", "%40"),
            ("postgresql://u:p4/ss@h/d", "%2F"),
            ("postgresql://u:12/p4ss@h:5/d", "%2F"),
            ("postgresql://u:p4?ss=x@h/d", "%3F"),
            ("postgresql://u:p4?ss", "no value"),
            ("postgresql://u:p4%ss@h/d", "%25"),
            ("postgresql://u:p4%00ss@h/d", "%25"),
            ("postgresql://u:p4%ffss@h/d", "not UTF-8"),
            ("postgresql://u:[YOUR-PASSWORD]@h/d", "placeholder"),
            ("postgresql://u:p4ss@[::1/d", "`]`"),
            ("postgresql://u:p4ss@[::1]5/d", "`]`"),
            ("mysql://u:p4ss@h/d", "neither"),
            ("\"postgresql://u:p4ss@h/d\"", "quotation marks"),
            ("'postgresql://u:p4ss@h/d?sslmode=require'", "quotation marks"),
            ("https://abc.supabase.co", "under Connect"),
            ("https://u:p4ss@db.abc.supabase.co:5432/postgres?x=1", "under Connect"),
            ("http://p4ss.example.com/d", "web address"),
            ("POSTGRESQL://u:p4ss@h/d", "must begin with postgresql://"),
            ("jdbc:postgresql://h/d?user=u&password=p4ss", "must begin with postgresql://"),
            ("postgresql+asyncpg://u:p4ss@h/d", "must begin with postgresql://"),
            ("psql postgresql://u:p4ss@h/d", "must begin with postgresql://"),
            ("p4ss", "neither"),
            ("password=p4 ss", "single quotes"),
            ("password=p4 ss host=h", "single quotes"),
            ("password='p4 ss", "does not end"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("p4") && !error.contains("ss@"), "{text}: {error}");
        }
    }
}
