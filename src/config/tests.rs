//! What an operator can rely on when configuring the node.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::tree::{Schema, leaves};
use super::{Config, Inputs, Loaded, load};
use crate::problem::Problem;
use crate::secret::{REDACTED, SECRET_KEYS};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Sources made for a test.
struct Case {
    dir: TempDir,
    inputs: Inputs,
}

impl Case {
    /// Starts from what the defaults lack: a secret.
    fn new() -> Self {
        let case = Self { dir: TempDir::new().unwrap(), inputs: Inputs::default() };
        case.env("EDGEFEED__AUTH__HS256_SECRET", SECRET)
    }

    fn path(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn file(mut self, text: &str) -> Self {
        self.inputs.file = Some(self.path("edgefeed.toml", text));
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.inputs.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without_env(mut self, name: &str) -> Self {
        self.inputs.env.retain(|(other, _)| other != name);
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.inputs.flags.push((key.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Loaded {
        load(&self.inputs).unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    fn problems(&self) -> Vec<Problem> {
        load(&self.inputs).expect_err("there is a problem")
    }

    /// The one problem there is, as an operator reads it.
    fn line(&self) -> String {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        problems[0].to_string()
    }
}

fn source(loaded: &Loaded, key: &str) -> String {
    loaded.settings.iter().find(|row| row.key == key).expect("the key is listed").source.clone()
}

#[test]
fn the_file_yields_to_the_environment_and_the_environment_to_flags() {
    let case = Case::new().file("[limits]\nmax_headers = 10\nmax_uri_bytes = 1000\nmax_body_bytes = 2000\n");
    let case = case
        .env("EDGEFEED__LIMITS__MAX_URI_BYTES", "1001")
        .env("EDGEFEED__LIMITS__MAX_BODY_BYTES", "2001")
        .flag("limits.max_body_bytes", "2002");
    let loaded = case.load();
    let limits = &loaded.config.limits;
    assert_eq!((limits.max_headers, limits.max_uri_bytes, limits.max_body_bytes), (10, 1001, 2002));
    assert!(source(&loaded, "limits.max_headers").starts_with("file "));
    assert_eq!(source(&loaded, "limits.max_uri_bytes"), "env EDGEFEED__LIMITS__MAX_URI_BYTES");
    assert_eq!(source(&loaded, "limits.max_body_bytes"), "flag --set limits.max_body_bytes");
    assert_eq!(source(&loaded, "limits.max_connections"), "default");
}

#[test]
fn a_variable_is_read_as_the_type_of_its_key() {
    let case = Case::new()
        .env("EDGEFEED__NODE__ROLES", "serve, sink")
        .env("EDGEFEED__NODE__CLUSTER", "2026")
        .env("EDGEFEED__CLICKHOUSE__URL", "http://127.0.0.1:8123")
        .env("EDGEFEED__NODE__IDS", "u64")
        .env("EDGEFEED__HTTP__LISTEN", "127.0.0.1:0")
        .env("UNRELATED", "x");
    let config = case.load().config;
    assert_eq!(config.node.roles.len(), 2);
    assert_eq!(config.node.cluster, "2026");
    assert_eq!(config.http.listen.port(), 0);
}

#[test]
fn a_secret_is_read_from_a_file_without_its_last_newline() {
    let case = Case::new().without_env("EDGEFEED__AUTH__HS256_SECRET");
    let path = case.path("secret", &format!("{SECRET}\n\n"));
    let case = case.env("EDGEFEED__AUTH__HS256_SECRET_FILE", path.to_str().unwrap());
    let loaded = case.load();
    assert_eq!(loaded.config.auth.hs256_secret.expose_secret(), format!("{SECRET}\n"));
    assert_eq!(source(&loaded, "auth.hs256_secret"), "env EDGEFEED__AUTH__HS256_SECRET_FILE");
}

#[test]
fn a_secret_file_that_cannot_be_read_or_stands_beside_the_secret_is_refused() {
    let missing =
        Case::new().without_env("EDGEFEED__AUTH__HS256_SECRET").env("EDGEFEED__AUTH__HS256_SECRET_FILE", "/no/such");
    assert!(missing.problems()[0].to_string().contains("/no/such"));
    let both = Case::new().env("EDGEFEED__AUTH__HS256_SECRET_FILE", "/no/such");
    assert!(both.line().contains("given twice"));
}

#[test]
fn an_unknown_key_is_refused_by_name_wherever_it_stands() {
    let file = Case::new().file("[limits]\nmax_header = 10\n").line();
    assert!(file.starts_with("limits.max_header: there is no such key (file "), "{file}");
    assert!(file.ends_with("did you mean limits.max_headers?"), "{file}");
    let env = Case::new().env("EDGEFEED__HTTP__LISTN", "127.0.0.1:1").line();
    assert!(env.contains("http.listn") && env.contains("env EDGEFEED__HTTP__LISTN"), "{env}");
    let flag = Case::new().flag("nowhere.at_all", "1").line();
    assert!(flag.contains("nowhere.at_all"), "{flag}");
    let not_a_secret = Case::new().env("EDGEFEED__HTTP__LISTEN_FILE", "/etc/hostname").line();
    assert!(not_a_secret.contains("http.listen_file"), "{not_a_secret}");
}

#[test]
fn a_bad_value_names_its_key_and_source() {
    let env = Case::new().env("EDGEFEED__LIMITS__MAX_HEADERS", "many").line();
    assert!(env.starts_with("limits.max_headers: ") && env.contains("env EDGEFEED__LIMITS__MAX_HEADERS"), "{env}");
    let file = Case::new().file("[http]\nlisten = \"here\"\n").line();
    assert!(file.starts_with("http.listen: ") && file.contains("edgefeed.toml"), "{file}");
    let range = Case::new().flag("limits.max_head_bytes", "100").line();
    assert!(range.contains("between 8192 and") && range.contains("flag --set limits.max_head_bytes"), "{range}");
    let role = Case::new().env("EDGEFEED__NODE__ROLES", "serve,cook").line();
    assert!(role.starts_with("node.roles") && role.contains("cook"), "{role}");
}

#[test]
fn all_problems_come_at_once() {
    let case = Case::new()
        .file("[limits]\nmax_headers = \"x\"\nmax_body_bytes = 1\n[log]\nlevel = \"=\"\nstyle = 1\n")
        .env("EDGEFEED__HTTP__LISTEN", "nowhere");
    let mut keys: Vec<_> = case.problems().into_iter().map(|problem| problem.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["http.listen", "limits.max_body_bytes", "limits.max_headers", "log.level", "log.style"]);
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let line = Case::new().file("[http]\nlisten = \n").line();
    assert!(line.contains("line 2") && line.contains("edgefeed.toml"), "{line}");
    let mut missing = Case::new();
    missing.inputs.file = Some(PathBuf::from("/no/such.toml"));
    assert!(missing.line().contains("/no/such.toml"));
}

#[test]
fn a_secret_is_never_shown_and_never_a_flag() {
    let loaded = Case::new().load();
    let row = loaded.settings.iter().find(|row| row.key == "auth.hs256_secret").unwrap();
    assert_eq!(row.value, REDACTED);
    let unset = loaded.settings.iter().find(|row| row.key == "admin.token").unwrap();
    assert_eq!(unset.value, "");
    assert!(!format!("{loaded:?}").contains(SECRET));
    assert!(!serde_json::to_string(&loaded.config).unwrap().contains(SECRET));

    let flag = Case::new().flag("admin.token", "a token of some length").line();
    assert!(flag.contains("command line") && !flag.contains("of some length"), "{flag}");
    let wrong_type = Case::new().without_env("EDGEFEED__AUTH__HS256_SECRET").file("[auth]\nhs256_secret = 31415926\n");
    assert!(!format!("{:?}", wrong_type.problems()).contains("31415926"));
    let broken = Case::new().file("[auth]\nhs256_secret = hunter2hunter2\n").line();
    assert!(!broken.contains("hunter2"), "{broken}");
}

#[test]
fn every_secret_there_is_can_be_given() {
    for key in SECRET_KEYS {
        let name = format!("EDGEFEED__{}", key.to_ascii_uppercase().replace('.', "__"));
        let case = Case::new()
            .without_env(&name)
            .env(&name, if key == "postgres.url" { "postgres://a:b@127.0.0.1/c" } else { SECRET })
            .flag("kafka.security.protocol", if key.starts_with("kafka") { "sasl_ssl" } else { "ssl" });
        let case = if key.starts_with("kafka") {
            case.flag("kafka.security.sasl_mechanism", "PLAIN").flag("kafka.security.username", "31")
        } else {
            case
        };
        let case = if key == "backup.secret_access_key" { case.flag("backup.access_key_id", "31") } else { case };
        let loaded = case.load();
        let row = loaded.settings.iter().find(|row| row.key == key).expect("the key is listed");
        assert_eq!((row.value.as_str(), row.source.clone()), (Some(REDACTED), format!("env {name}")));
    }
}

#[test]
fn a_key_for_cursors_that_can_be_guessed_is_refused_and_no_address_is_shown() {
    let line = Case::new().env("EDGEFEED__HTTP__CURSOR_KEY", "short").line();
    assert!(line.starts_with("http.cursor_key: has 5 bytes") && !line.contains("short"), "{line}");
    let line = Case::new().env("EDGEFEED__POSTGRES__URL", "postgres://a:hush@host:port/c").line();
    assert!(line.starts_with("postgres.url: cannot be read") && !line.contains("hush"), "{line}");
}

#[test]
fn the_sections_of_others_are_checked_with_the_rest() {
    let line = Case::new().flag("ranking.viewed_hours", "25").line();
    assert!(line.starts_with("ranking.viewed_hours: ") && line.contains("flag --set"), "{line}");
    let line = Case::new().flag("kafka.batch_records", "0").line();
    assert!(line.starts_with("kafka.batch_records: ") && line.contains("flag --set"), "{line}");
}

#[test]
fn a_short_or_missing_secret_is_refused() {
    assert!(Case::new().without_env("EDGEFEED__AUTH__HS256_SECRET").line().contains("auth.hs256_secret: is not set"));
    let short = Case::new().without_env("EDGEFEED__AUTH__HS256_SECRET").env("EDGEFEED__AUTH__HS256_SECRET", "short");
    assert!(short.line().contains("has 5 bytes, fewer than 32"));
}

#[test]
fn nothing_unguarded_listens_beyond_loopback() {
    let open = |key: &str| Case::new().flag(key, "0.0.0.0:7000");
    assert!(open("http.listen").flag("auth.mode", "none").line().starts_with("auth.mode: "));
    assert!(open("admin.listen").line().starts_with("admin.token: "));
    open("http.listen").load();
    open("admin.listen").env("EDGEFEED__ADMIN__TOKEN", "sixteen bytes or more").load();
    Case::new().flag("auth.mode", "none").load();
    let same = Case::new().flag("http.listen", "127.0.0.1:7000").flag("admin.listen", "127.0.0.1:7000");
    assert!(same.line().starts_with("admin.listen: "));
}

#[test]
fn the_example_documents_every_key_with_its_default() {
    let text = include_str!("../../edgefeed.example.toml");
    let table: toml::Table = toml::from_str(text).unwrap();
    let given = leaves(&table);
    let schema = Schema::of(&Config::default(), &SECRET_KEYS);
    for key in schema.keys() {
        let name = key.rsplit('.').next().unwrap();
        // A key that is unset by default stands as a comment.
        let unset = schema.default_of(key).is_some_and(serde_json::Value::is_null);
        let commented = unset && text.lines().any(|line| line.starts_with(&format!("# {name} = ")));
        assert!(given.contains_key(key) || commented, "{key} is missing");
    }
    let read: Config = toml::from_str(text).expect("the example is a configuration");
    assert_eq!(leaves(&read), leaves(&Config::default()));
}

#[test]
fn the_example_is_valid_once_it_has_a_secret() {
    Case::new().file(include_str!("../../edgefeed.example.toml")).load();
}
