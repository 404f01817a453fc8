//! Query strings, read strictly: what is named must be readable and stand once. Unknown names are passed over, as
//! proxies and analytics add their own.

use std::borrow::Cow;
use std::str::FromStr;

use super::error::Error;

/// Pairs of a query string that are looked at; one with more is refused.
const MAX_PAIRS: usize = 64;

/// A query string, decoded.
#[derive(Debug)]
pub struct Query<'q>(Vec<(Cow<'q, str>, Cow<'q, str>)>);

impl<'q> Query<'q> {
    /// Reads `name=value&…`, percent-encoded.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a broken encoding or too many pairs.
    pub fn parse(raw: &'q str) -> Result<Self, Error> {
        let parts = raw.split('&').filter(|part| !part.is_empty());
        let mut pairs = Vec::new();
        for part in parts {
            if pairs.len() == MAX_PAIRS {
                return Err(bad(format!("there are more than {MAX_PAIRS} parameters")));
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter; `None` when it is absent.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when it stands more than once: two readers may take different ones.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut found = self.0.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.as_ref());
        match found.next() {
            None => Ok(value),
            Some(_) => Err(bad(format!("{name} stands more than once"))),
        }
    }

    /// A whole number between `min` and `max`, both included, or the default when the parameter is absent.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for anything else.
    pub fn number<T>(&self, name: &str, min: T, max: T, default: T) -> Result<T, Error>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.get(name)? else { return Ok(default) };
        // FromStr would also take a sign.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && number >= min && number <= max => Ok(number),
            _ => Err(bad(format!("{name} must be a whole number from {min} to {max}"))),
        }
    }

    /// One of the named values, or the default when the parameter is absent.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for anything else.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)], default: T) -> Result<T, Error> {
        let Some(text) = self.get(name)? else { return Ok(default) };
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        chosen.ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            bad(format!("{name} must be one of {}", words.join(", ")))
        })
    }

    /// `0` or `1`; absent is `0`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for anything else.
    pub fn flag(&self, name: &str) -> Result<bool, Error> {
        self.choice(name, &[("0", false), ("1", true)], false)
    }
}

fn bad(message: String) -> Error {
    Error::BadParameter(message)
}

/// Percent-decoding as forms do it: `+` is a space.
fn decode(text: &str) -> Result<Cow<'_, str>, Error> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let high = digit(rest.next());
                let low = digit(rest.next());
                let value = high.zip(low).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
                bytes.push(value.ok_or_else(|| bad("the query is not percent-encoded".to_owned()))?);
            }
            other => bytes.push(other),
        }
    }
    let decoded = String::from_utf8(bytes).map_err(|_| bad("the query is not UTF-8".to_owned()))?;
    Ok(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(raw: &str) -> Result<usize, Error> {
        Query::parse(raw)?.number("limit", 1, 100, 20)
    }

    #[test]
    fn a_number_is_read_within_its_bounds_only() {
        assert_eq!(number(""), Ok(20));
        assert_eq!(number("limit=1"), Ok(1));
        assert_eq!(number("a=b&limit=100"), Ok(100));
        for raw in [
            "limit=0",
            "limit=101",
            "limit=+5",
            "limit=%2B5",
            "limit=-1",
            "limit=",
            "limit",
            "limit=5x",
            "limit=99999999999999999999999999",
        ] {
            assert!(matches!(number(raw), Err(Error::BadParameter(_))), "{raw}");
        }
    }

    #[test]
    fn a_parameter_stands_once_and_unknown_ones_may_stand_often() {
        assert!(number("limit=5&limit=5").is_err());
        assert!(number("limit=5&l%69mit=6").is_err(), "an encoded name is the same name");
        assert_eq!(number("utm=1&utm=2&limit=5"), Ok(5));
    }

    #[test]
    fn encodings_are_whole() {
        let query = Query::parse("a=%C3%A9+%2b").map(|query| query.get("a").map(|v| v.map(str::to_owned)));
        assert_eq!(query, Ok(Ok(Some("é +".to_owned()))));
        for raw in ["a=%", "a=%4", "a=%zz", "a=%ff", "%=1"] {
            assert!(Query::parse(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_flood_of_parameters_is_refused() {
        assert!(Query::parse(&"a=1&".repeat(64)).is_ok());
        assert!(Query::parse(&"a=1&".repeat(65)).is_err());
    }
}
