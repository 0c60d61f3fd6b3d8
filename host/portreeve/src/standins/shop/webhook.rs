//! How the shop proves what it sends: the webhooks of Adobe Commerce carry an RSA signature over the
//! base64 of their body, itself in base64 (Adobe's page "Webhooks signature verification").
//!
//! It signs with `testRSA2048` of RFC 9500, a key that is printed there for tests, since no pair
//! can be made here. Anybody can sign with it: it proves nobody but a stand-in.

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

/// The header that carries it.
pub const WEBHOOK_SIGNATURE: &str = "x-adobe-commerce-webhook-signature";

/// The public half, as the shop's configuration shows it.
pub const WEBHOOK_PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsPnoGUOnrpiSqt4XynxA
+HRP7S+BSObI6qJ7fQAVSPtRkqsotWxQYLEYzNEx5ZSHTGypibVsJylvCfuToDTf
Mul8b/CZjP2Ob0LdpYrNH6l5hvFE89FU1nZQF15oVLOpUgA7wGiHuEVawrGfey92
UE68mOyUVXGweJIVDdxqdMoPvNNUl86BU02vlBiESxOuox+dWmuVV7vfYZ79Toh/
LUK43YvJh+rhv4nKuF7iHjVjBd9sB6iDjj70HFldzOQ9r8SRI+9NirupPTkF5AKN
e6kUhKJ1luB7S27ZkvB3tSTT3P593VVJvnzOjaA1z6Cz+4+eRvcysqhrRgFlwI9T
EwIDAQAB
-----END PUBLIC KEY-----
";

/// RSAPrivateKey (RFC 8017, A.1.2) in base64.
const PRIVATE_KEY: &str = "
MIIEowIBAAKCAQEAsPnoGUOnrpiSqt4XynxA+HRP7S+BSObI6qJ7fQAVSPtRkqso
tWxQYLEYzNEx5ZSHTGypibVsJylvCfuToDTfMul8b/CZjP2Ob0LdpYrNH6l5hvFE
89FU1nZQF15oVLOpUgA7wGiHuEVawrGfey92UE68mOyUVXGweJIVDdxqdMoPvNNU
l86BU02vlBiESxOuox+dWmuVV7vfYZ79Toh/LUK43YvJh+rhv4nKuF7iHjVjBd9s
B6iDjj70HFldzOQ9r8SRI+9NirupPTkF5AKNe6kUhKJ1luB7S27ZkvB3tSTT3P59
3VVJvnzOjaA1z6Cz+4+eRvcysqhrRgFlwI9TEwIDAQABAoIBAEEYiyDP29vCzx/+
dS3LqnI5BjUuJhXUnc6AWX/PCgVAO+8A+gZRgvct7PtZb0sM6P9ZcLrweomlGezI
FrL0/6xQaa8bBr/ve/a8155OgcjFo6fZEw3Dz7ra5fbSiPmu4/b/kvrg+Br1l77J
aun6uUAs1f5B9wW+vbR7tzbT/mxaUeDiBzKpe15GwcvbJtdIVMa2YErtRjc1/5B2
BGVXyvlJv0SIlcIEMsHgnAFOp1ZgQ08aDzvilLq8XVMOahAhP1O2A3X8hKdXPyrx
IVWE9bS9ptTo+eF6eNl+d7htpKGEZHUxinoQpWEBTv+iOoHsVunkEJ3vjLP3lyI/
fY0NQ1ECgYEA3RBXAjgvIys2gfU3keImF8e/TprLge1I2vbWmV2j6rZCg5r/AS0u
pii5CvJ5/T5vfJPNgPBy8B/yRDs+6PJO1GmnlhOkG9JAIPkv0RBZvR0PMBtbp6nT
Y3yo1lwamBVBfY6rc0sLTzosZh2aGoLzrHNMQFMGaauORzBFpY5lU50CgYEAzPHl
u5DI6Xgep1vr8QvCUuEesCOgJg8Yh1UqVoY/SmQh6MYAv1I9bLGwrb3WW/7kqIoD
fj0aQV5buVZI2loMomtU9KY5SFIsPV+JuUpy7/+VE01ZQM5FdY8wiYCQiVZYju9X
Wz5LxMNoz+gT7pwlLCsC4N+R8aoBk404aF1gum8CgYAJ7VTq7Zj4TFV7Soa/T1eE
k9y8a+kdoYk3BASpCHJ29M5R2KEA7YV9wrBklHTz8VzSTFTbKHEQ5W5csAhoL5Fo
qoHzFFi3Qx7MHESQb9qHyolHEMNx6QdsHUn7rlEnaTTyrXh3ifQtD6C0yTmFXUIS
CW9wKApOrnyKJ9nI0HcuZQKBgQCMtoV6e9VGX4AEfpuHvAAnMYQFgeBiYTkBKltQ
XwozhH63uMMomUmtSG87Sz1TmrXadjAhy8gsG6I0pWaN7QgBuFnzQ/HOkwTm+qKw
AsrZt4zeXNwsH7QXHEJCFnCmqw9QzEoZTrNtHJHpNboBuVnYcoueZEJrP8OnUG3r
UjmopwKBgAqB2KYYMUqAOvYcBnEfLDmyZv9BTVNHbR2lKkMYqv5LlvDaBxVfilE0
2riO4p6BaAdvzXjKeRrGNEKoHNBpOSfYCOM16NjL8hIZB1CaV3WbT5oY+jp7Mzd5
7d56RZOE+ERK2uz/7JX9VSsM/LbH9pJibd4e8mikDS9ntciqOH/3";

/// The header of a body.
///
/// # Errors
/// None in practice; reading the key and signing with it have one.
pub fn webhook_signature(body: &[u8]) -> anyhow::Result<String> {
    let der = STANDARD.decode(PRIVATE_KEY.split_ascii_whitespace().collect::<String>())?;
    let pair = RsaKeyPair::from_der(&der).map_err(|error| anyhow!("the shop's key cannot be read: {error}"))?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), STANDARD.encode(body).as_bytes(), &mut signature)
        .map_err(|_| anyhow!("the shop's key cannot sign"))?;
    Ok(STANDARD.encode(signature))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_shop_signs_the_base64_of_a_body_as_other_programs_do() {
        // `printf %s "$(base64 -w0 body)" | openssl dgst -sha256 -sign key.pem | base64 -w0`.
        let known = "D8BPaiQcioGGJCtT5rbK5UeMh+WndNp5qQ+iM62ThdOYLwmRto/9EQNqUkiBNZND+GohBr9eKfi7+8VNVwJGJxVjAPyWMEfNEKmu5UUph7gCumpczkQYoejp2v0Nau4FUJ+r8n9s6xwBWqvnyGrUXFW0HE/cSxQD5yiJwPLWN7Uwe4h9r79vNJrh9Non3H++c2Jd3b6aE4OU+CK7OwAY3VPfp3bX4TRKnWwIozPoy9G4sUzQclvwXKeqzJbcPlCCLMjQUt201EO+lDBYg/+I5qhSh5/+s5lOdNmxFZqby5Rk/EQFa1HBjtx+XhUN7yxOFvqJXgtt1p4syhBiguaDZw==";
        let body = br#"{"orderId":"300101","price":200.0000,"total":2.00e2, "note":"a\/b \u00e9"}"#;
        assert_eq!(webhook_signature(body).unwrap(), known);
    }
}
