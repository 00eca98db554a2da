//! The syntax of connection strings, URLs and `key=value` pairs alike, read as libpq reads it: text to
//! options, without a look at what the options mean.
//!
//! An error never quotes what could be part of a password. So an `@` behind the host of a URL is refused,
//! although libpq takes it: it mostly is the end of a password that was not percent-encoded.

use percent_encoding::percent_decode_str;

/// Options with their values, in the order of the string; of two for one name the later counts.
pub type Pairs = Vec<(String, String)>;

/// Parses a connection string. Empty parts of a URL are left out.
pub fn parse(text: &str) -> Result<Pairs, String> {
    let text = text.trim();
    if text.to_ascii_uppercase().contains("[YOUR-PASSWORD]") {
        return Err("it still holds the placeholder [YOUR-PASSWORD]; put the database password there".to_owned());
    }
    match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        Some(rest) => parse_url(rest),
        None => parse_keywords(text),
    }
}

const ENCODE: &str = "in a password `@` must be written %40, `/` %2F, `?` %3F and `#` %23";

/// `USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?OPTION=VALUE&OPTION=VALUE`, every part optional.
fn parse_url(rest: &str) -> Result<Pairs, String> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    if authority.matches('@').count() > 1 {
        return Err(format!("there is more than one `@` before the host; {ENCODE}"));
    }
    if !authority.is_empty() && behind.contains('@') {
        return Err(format!("there is an `@` behind the host; {ENCODE}, also in other parts of the URL"));
    }
    let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
    let mut pairs = Pairs::new();
    let mut add = |key: &str, value: String| {
        if !value.is_empty() {
            pairs.push((key.to_owned(), value));
        }
    };
    let (login, places) = authority.split_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    add("user", decode(user, "user")?);
    add("password", decode(password, "password")?);
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for place in places.split(',') {
        let (host, port) = host_and_port(place)?;
        hosts.push(decode(host, "host")?);
        ports.push(decode(port, "port")?);
    }
    for (key, parts) in [("host", hosts), ("port", ports)] {
        if parts.iter().any(|part| !part.is_empty()) {
            add(key, parts.join(","));
        }
    }
    add("dbname", decode(path.strip_prefix('/').unwrap_or(path), "database")?);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| format!("an option behind the `?` has no value; {ENCODE}"))?;
        let key = decode(key, "options")?;
        let value = decode(value, &key)?;
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// `host:port`, or `[address]:port`, whose colons are the address's own.
fn host_and_port(place: &str) -> Result<(&str, &str), String> {
    let Some(bracketed) = place.strip_prefix('[') else {
        return Ok(place.split_once(':').unwrap_or((place, "")));
    };
    let (address, rest) = bracketed.split_once(']').ok_or("a `[` before an address has no `]` behind it")?;
    match rest.strip_prefix(':') {
        Some(port) => Ok((address, port)),
        None if rest.is_empty() => Ok((address, "")),
        None => Err("behind the `]` of an address only `:` and a port may follow".to_owned()),
    }
}

fn decode(text: &str, part: &str) -> Result<String, String> {
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('%') {
        let digits = behind.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if digits.is_none_or(|digits| digits == "00") {
            return Err(format!("a `%` in its {part} begins no character; a `%` itself must be written %25"));
        }
        rest = behind;
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| format!("its {part} is not UTF-8"))?;
    Ok(decoded.into_owned())
}

/// `key=value key = 'quoted value'`; a backslash takes the next character as it is.
fn parse_keywords(text: &str) -> Result<Pairs, String> {
    let mut pairs = Pairs::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=').ok_or_else(|| no_pair(&pairs))?;
        let key = key.trim_end();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(no_pair(&pairs));
        }
        let behind = behind.trim_start();
        let (is_quoted, body) = behind.strip_prefix('\'').map_or((false, behind), |body| (true, body));
        let mut value = String::new();
        let mut end = None;
        let mut characters = body.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                '\'' if is_quoted => {
                    end = Some(at + 1);
                    break;
                }
                c if !is_quoted && c.is_whitespace() => {
                    end = Some(at);
                    break;
                }
                c => value.push(c),
            }
        }
        if is_quoted && end.is_none() {
            return Err("a quoted value does not end".to_owned());
        }
        pairs.push((key.to_owned(), value));
        rest = body[end.unwrap_or(body.len())..].trim_start();
    }
    Ok(pairs)
}

fn no_pair(pairs: &Pairs) -> String {
    match pairs.last() {
        None => "it is neither a postgresql:// URL nor a list of key=value pairs".to_owned(),
        Some(_) => "what stands behind its first values is no key=value pair; a value with spaces must stand in \
                    single quotes"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn parsed(text: &str, expected: &[(&str, &str)]) {
        let pairs = parse(text).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
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
                ("options", ""),
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
