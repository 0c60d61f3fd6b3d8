//! A shop of Adobe Commerce at the front door: the signature of its webhooks lets them in, and
//! nothing else does.

use std::path::{Path, PathBuf};

use portreeve::standins::shop::{WEBHOOK_PUBLIC_KEY, WEBHOOK_SIGNATURE, webhook_signature};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{EDI_TOKEN, Setup, sample, shop_signature};

/// A key whose private half was thrown away.
const ANOTHER_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1OkHKT/KnRLYbBxgxltt
QOSIadySN7LuFFOJ9/jjgAJVCkSnWRvB5t0bLKgtXNZxBGBlwHFhNNsdsvZwpMKF
JKypHD4d++rYEJnY9gb4H6IOZByKnBs22Xh5nprjjM+Nwdo6JYqMoPTsDLl/XTlP
KcxUOQAoIpskw+NcUEMYR20OMfCbah9J15g58VMdhrg4keQqShuBkfuqlJ1awD/m
3P9H08RL5ghGR7Bze+whOWSfXBSA1BVlA9vCVANNV+OuCwCn6OnsOVIQGCN5i46g
HZ6fLAkiHxrb8OqEwFvjEQFihFxOsyns4qR7yG14mPHP+/iiWBKdWkTQMv6+NSOS
zQIDAQAB
-----END PUBLIC KEY-----
";

/// One of 1024 bits.
const SHORT_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCh63KPlbE4Y20jUxNHb7Q7iBj
Ri35D3t2LAYgQSsuYhVeyW0/jNcg16+S/W75rRBoaIM0y6gD7eW1VNkyPmOMZjnl
5OFBT3/bdrsiusVCatQlWpn6EcXrQ5cq7JbKyYGEAA0o6NtytIfv8QOgiVMw3oKt
vQ46gAm3Yn2cA2d0mwIDAQAB
-----END PUBLIC KEY-----
";

/// Headers and body of somebody who is not heard.
type Stranger<'a> = (&'a [(&'a str, &'a str)], &'a [u8]);

/// A file with this in it, in a folder that goes with the test.
fn written(key: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.pem");
    std::fs::write(&file, key).unwrap();
    (folder, file)
}

/// The demo's host, whose shop signs as Adobe Commerce does, by the key in a file.
fn signing(file: &Path) -> Setup {
    let proof = format!("adobe_public_key_file = \"{}\"\npublished_test_key = true", file.display());
    Setup::demo().replace("portreeve.toml", "secret_file = \"${SHOP_SECRET_FILE}\"", &proof)
}

/// Why a host does not start.
async fn refusal(setup: Setup) -> String {
    format!("{:#}", setup.try_start().await.err().unwrap())
}

#[tokio::test]
async fn a_webhook_that_the_shop_signed_comes_in_once_and_nothing_else_does() {
    let (_folder, file) = written(WEBHOOK_PUBLIC_KEY);
    let host = signing(&file).start().await;
    let door = host.front_door().await;
    let order = sample("adobe-commerce", "0001");
    let signature = webhook_signature(&order).unwrap();
    // The same JSON, as a parser writes it, and another price.
    let anew = serde_json::to_vec(&serde_json::from_slice::<Value>(&order).unwrap()).unwrap();
    let cheaper = String::from_utf8(order.clone()).unwrap().replacen("202.09", "102.09", 1).into_bytes();
    assert!(anew != order && cheaper != order);
    let (of_anew, own) = (webhook_signature(&anew).unwrap(), shop_signature(&order));
    let bearer = format!("Bearer {EDI_TOKEN}");
    let strangers: [Stranger<'_>; 11] = [
        (&[], &order),
        (&[(WEBHOOK_SIGNATURE, "")], &order),
        (&[(WEBHOOK_SIGNATURE, "no base64")], &order),
        (&[(WEBHOOK_SIGNATURE, &of_anew)], &order),
        (&[(WEBHOOK_SIGNATURE, &signature)], &anew),
        (&[(WEBHOOK_SIGNATURE, &signature)], &cheaper),
        (&[(WEBHOOK_SIGNATURE, &signature), (WEBHOOK_SIGNATURE, &signature)], &order),
        (&[(WEBHOOK_SIGNATURE, &signature), ("authorization", &bearer)], &order),
        (&[("x-portreeve-signature", &own)], &order),
        (&[("x-portreeve-signature", &signature)], &order),
        (&[("stripe-signature", &signature)], &order),
    ];
    for (headers, body) in strangers {
        assert_eq!(door.post("shop", headers, body).await.status, 401, "{headers:?}");
    }
    let signed = [(WEBHOOK_SIGNATURE, signature.as_str())];
    assert_eq!(door.post("edi", &signed, &order).await.status, 401, "on another channel");
    assert_eq!(host.summary().await.inputs, 0, "nothing of all that was kept");

    let first = door.post("shop", &signed, &order).await;
    assert_eq!(first.status, 200);
    // Who kept it and sends it again has the same answer, and no second effect.
    let again = door.post("shop", &signed, &order).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    host.decide_all().await;
    assert_eq!((host.summary().await.inputs, host.orders().await.len()), (1, 1));
    door.close().await;
}

#[tokio::test]
async fn a_new_key_of_the_shops_counts_from_the_next_webhook_on() {
    let (_folder, file) = written(WEBHOOK_PUBLIC_KEY);
    let host = signing(&file).start().await;
    let door = host.front_door().await;
    let order = sample("adobe-commerce", "0001");
    let signature = webhook_signature(&order).unwrap();
    let takes = async || door.post("shop", &[(WEBHOOK_SIGNATURE, signature.as_str())], &order).await.status == 200;
    assert!(takes().await);
    std::fs::write(&file, ANOTHER_KEY).unwrap();
    assert!(!takes().await, "of the key before");
    std::fs::write(&file, WEBHOOK_PUBLIC_KEY).unwrap();
    assert!(takes().await);
    std::fs::write(&file, "").unwrap();
    assert!(takes().await, "the last key counts while there is none");
    door.close().await;
}

#[tokio::test]
async fn a_file_without_a_key_that_counts_keeps_a_host_from_starting_and_says_what_to_do() {
    for (content, expected) in [
        ("a-secret-of-the-shop", "expected one block from `-----BEGIN PUBLIC KEY-----`"),
        ("-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n", "it holds a private key"),
        (SHORT_KEY, "has 1024 bits; expected 2048 to 8192"),
    ] {
        let (_folder, file) = written(content);
        let error = refusal(signing(&file)).await;
        assert!(error.contains("the public key of sender `main-store`") && error.contains(expected), "{error}");
        assert!(error.contains("shop.pem`") && !error.contains("a-secret"), "{error}");
    }
    let (_folder, file) = written(WEBHOOK_PUBLIC_KEY);
    let missing = refusal(signing(&file.with_extension("gone"))).await;
    assert!(missing.contains("shop.gone` cannot be read"), "{missing}");
    let both =
        signing(&file).replace("portreeve.toml", "adobe_public_key_file", "secret_file = \"x\"\nadobe_public_key_file");
    let both = refusal(both).await;
    assert!(both.contains("sender `main-store` needs exactly one of"), "{both}");
    let of_none = signing(&file).replace("portreeve.toml", "adobe_public_key_file", "secret_file");
    let of_none = refusal(of_none).await;
    assert!(of_none.contains("has `published_test_key` and no `adobe_public_key_file`"), "{of_none}");
}

#[tokio::test]
async fn a_published_test_key_lets_nobody_in_at_a_door_that_others_reach() {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (folder, file) = written(WEBHOOK_PUBLIC_KEY);
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let open = format!(
        "listen = \"0.0.0.0:8443\"\ntls = {{ certificate = \"{}\", key = \"{}\" }}",
        certificate.display(),
        key.display()
    );
    let reached = || signing(&file).replace("portreeve.toml", "listen = \"127.0.0.1:8080\"", &open);
    let error = refusal(reached()).await;
    assert!(error.contains("is a published test key, with which anybody can sign"), "{error}");
    // Nor at one of this machine, which somebody may hand on to others, unless it is said there.
    let unsaid = signing(&file).replace("portreeve.toml", "published_test_key = true\n", "");
    assert!(refusal(unsaid).await.contains("is a published test key, with which anybody can sign"));
    std::fs::write(&file, ANOTHER_KEY).unwrap();
    reached().start().await;
}
