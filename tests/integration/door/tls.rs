//! TLS of a real node, and a certificate exchanged under it.

use std::path::Path;

use reqwest::{Certificate, Client};

use super::House;
use super::keys::{Pair, claims};
use crate::crash::node::PATIENCE;

/// A certificate for localhost in `cert.pem` and `key.pem`; gives it as a client trusts it.
fn certify(dir: &Path) -> Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}

/// A client that trusts this certificate alone.
fn client(trusted: Certificate) -> Client {
    Client::builder().tls_certs_only([trusted]).build().unwrap()
}

#[test]
fn a_node_serves_tls_and_takes_a_new_certificate_and_key_without_a_restart() {
    let (old, new) = (Pair::rsa(), Pair::rsa());
    let mut trusted = None;
    let house = House::open(|dir| {
        trusted = Some(certify(dir));
        std::fs::write(dir.join("public.pem"), old.public_pem()).unwrap();
        let file = |name: &str| dir.join(name).display().to_string();
        format!(
            r#"
            http.tls_cert = "{}"
            http.tls_key = "{}"
            [auth]
            algorithm = "RS256"
            public_key_file = "{}"
            "#,
            file("cert.pem"),
            file("key.pem"),
            file("public.pem")
        )
    });
    let port = house.node.public().rsplit_once(':').unwrap().1.to_owned();
    let url = format!("https://localhost:{port}/api/v1/feed");
    let ask = |client: &Client, token: &str| {
        let request = client.get(&url).bearer_auth(token).timeout(PATIENCE);
        house.runtime.block_on(async { request.send().await.map(|answer| answer.status().as_u16()) })
    };
    let (of_old, of_new) = (old.sign(None, &claims()), new.sign(None, &claims()));
    let before = client(trusted.unwrap());
    assert_eq!(ask(&before, &of_old).unwrap(), 200);
    assert_eq!(ask(&before, &of_new).unwrap(), 401);

    let after = client(certify(house.dir.path()));
    std::fs::write(house.dir.path().join("public.pem"), new.public_pem()).unwrap();
    assert!(ask(&after, &of_new).is_err(), "until it is told, the node shows what it has");
    house.reload();
    assert_eq!(ask(&after, &of_new).unwrap(), 200);
    assert_eq!(ask(&after, &of_old).unwrap(), 401, "the old key is gone");
    assert_eq!(ask(&before, &of_new).unwrap(), 200, "on the connection that was open all along");
    house.close();
}
