//! The header `x-adobe-commerce-webhook-signature`, by which a shop proves its webhooks.
//!
//! ```text
//! base64( RSASSA-PKCS1-v1_5 with SHA-256, over base64( the raw body ) )
//! ```
//!
//! Adobe's page "Webhooks signature verification" calls it an HMAC; its own example, as the shop
//! itself, signs with an RSA key (RFC 8017, 8.2), and what is signed is the base64 text of the body,
//! with padding and without line breaks. That example writes the body anew from the JSON that it
//! read, which makes other bytes of `200.0000` and of `\/`: here the bytes count as they were
//! received, and nothing is parsed before they are proved.
//!
//! No time is under the signature, so a webhook that somebody keeps proves itself for ever. Sent
//! again it is the same input, and has no second effect.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::public_key::PublicKeyFile;

/// Whether a header proves a body under the key that the file has now.
pub(super) fn proves(header: &str, body: &[u8], key: &PublicKeyFile) -> bool {
    let Ok(signature) = STANDARD.decode(header) else { return false };
    // A copy of a third more than the body, of one that has its place among the unproven.
    key.current().verifies(STANDARD.encode(body).as_bytes(), &signature)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::{ChannelId, SenderId};

    use super::*;
    use crate::sender::samples::{OTHER, PUBLISHED};
    use crate::sender::{Credential, KnownSender, Proof, Senders};

    /// Money, escapes and spaces that no parser writes back as they were.
    const BODY: &[u8] = br#"{"orderId":"300101","price":200.0000,"total":2.00e2, "note":"a\/b \u00e9"}"#;

    // Made by another program, under the published key where nothing else is said:
    // `printf %s "$(base64 -w0 body)" | openssl dgst -sha256 -sign key.pem | base64 -w0`.
    const SIGNATURE: &str = "D8BPaiQcioGGJCtT5rbK5UeMh+WndNp5qQ+iM62ThdOYLwmRto/9EQNqUkiBNZND+GohBr9eKfi7+8VNVwJGJxVjAPyWMEfNEKmu5UUph7gCumpczkQYoejp2v0Nau4FUJ+r8n9s6xwBWqvnyGrUXFW0HE/cSxQD5yiJwPLWN7Uwe4h9r79vNJrh9Non3H++c2Jd3b6aE4OU+CK7OwAY3VPfp3bX4TRKnWwIozPoy9G4sUzQclvwXKeqzJbcPlCCLMjQUt201EO+lDBYg/+I5qhSh5/+s5lOdNmxFZqby5Rk/EQFa1HBjtx+XhUN7yxOFvqJXgtt1p4syhBiguaDZw==";
    const OF_THE_OTHER_KEY: &str = "ZQQqRnyY+rVW7psHu+9cWvULrAPfutxRhh1cuoFc0XRJa7SpmMpyOR/a4dbFTOPOMf2PXYIT315UotDpWx84maKcaJ4CDiR/lri0eIn9IwjT+R/uPKjlqeBrtwztx73yfhGXhN6uzltaO33snS2kY3Tn0xnOxLnQidRsI6RDG4lTYOzKv4YBOMSG8Rcbmeu06ws2GuBb79RuhptjaAXVgLeXkEUmvHm/5Hn7zbKG4iOWPr8FqVy5pMpN3mIBPfNjeCCg0sys1qUK9xDdQVRmE5wzWoUKOE7ldYdMOBgt4vVb+8UFc9zNmYcV5lpebaCv4mAi470nyPhiyROG1EE7pg==";
    const OVER_THE_RAW_BODY: &str = "VWycBoO5kj8fAYJOSk9DV4JVwWdaOa8y1+Pv8QjWqeTZllTiq2qEHCFxztfxxSZT/ZO4XL7vio7ViTnnNuw9TV1Oyy9GdeUfL470NUBYr6lqwBt0LnOWeJRbBiywbkctjQ4VmR7XECJVh5afUWChJNdt4gtanR1ElaUGpDKReVl7e9aIwn9q1od/RUzpKPgTSTM1jIOI9Teqz4r6tSJOBuvXjVO4ejO7ycXuV/irktdutC1J+zOTjNxDolvpCTBSwJfZ++CmIj+s+rDd94TsEuf1VMYqgKdvUuubrE4iln4qZ/b5BlLVr1BVMAdbcmRmGUqulqQIeag2WkWa/zpJIw==";
    const WITH_PSS: &str = "nbjueHQjQ0Lxg2MMTOHeiP4M6vRLUnWzhf6ialX7/W/uzCiHTNVRwHqYmpiXsPLL2ac/pUpZXZnHU4D7bH/y6zCyXhLBYhVKV9eqN1V8cg5fG13SVJ2KUT+E+en50nFKWc2WfwXgBoN48kMRCKi9kZdqk+AVAAcvWcEx1Rf7nnmYM4t9zRcMhCJ7g70N1cGijIWhUh4iF/IR+EX1Tm17AqOehHyIRy1O6BXSqMU2O+fj+nGnzL4/jVQkvJEj2XAePugjUPTJui89fPFMJP7hc139s2aNvHKo2bhtElQxXStVOYP+/Uwvr2NivNLk5srwrzz7KlO6syX85LpnwwSjoA==";
    const WITH_SHA_1: &str = "G7dldclzXATHvY8U03m8BCqlwMriIiG8FCTC+JBfrPOghkgPytcSrr5MJSqIKgXN1+DaGrSLsFhkGjJFtUDMV3DfmOdvw2S+5mCfDF4lTvjOaZwLTVq+NNBuEinl6tEjDPZhj+onJ2/w+l9YIrl3EleRHyPAD0El67UFmIO2j6UVH0iG4nz+bJHB+uesuV8PgJM2+gZeztyAsbgcL78e+yTIE8dwpW5CQsZRfoDL6OYTWhoiIlQYF1KYpuE4ze44BGhiBTj6z4F7lti2Vt34piVUky6FTK9zbfKPfOAk0bd5yC3MzJXfDyu8/CtxAoRErHZxA1/wlxtVO+CsaD4oYQ==";

    /// A key in a file that is gone by now: the last one counts.
    fn key(pem: &str) -> PublicKeyFile {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        std::fs::write(&file, pem).unwrap();
        PublicKeyFile::read(file, true).unwrap()
    }

    #[test]
    fn the_signature_of_the_bodys_base64_under_the_shops_key_proves_a_body() {
        assert!(proves(SIGNATURE, BODY, &key(PUBLISHED)));
        assert!(proves(OF_THE_OTHER_KEY, BODY, &key(OTHER)));
    }

    #[test]
    fn another_key_another_signed_text_and_another_scheme_prove_nothing() {
        assert!(!proves(SIGNATURE, BODY, &key(OTHER)));
        for wrong in [OF_THE_OTHER_KEY, OVER_THE_RAW_BODY, WITH_PSS, WITH_SHA_1] {
            assert!(!proves(wrong, BODY, &key(PUBLISHED)), "{wrong}");
        }
        // Whoever sends the base64 in the body's place sends another body.
        assert!(!proves(SIGNATURE, STANDARD.encode(BODY).as_bytes(), &key(PUBLISHED)));
    }

    #[test]
    fn a_body_that_differs_by_a_byte_or_was_written_anew_proves_nothing() {
        let key = key(PUBLISHED);
        for index in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body.iter_mut().skip(index).take(1).for_each(|byte| *byte ^= 1);
            assert!(!proves(SIGNATURE, &body, &key), "{index}");
        }
        assert!(!proves(SIGNATURE, &[BODY, b"\n"].concat(), &key));
        let read: serde_json::Value = serde_json::from_slice(BODY).unwrap();
        let anew = serde_json::to_vec(&read).unwrap();
        assert_ne!(anew, BODY);
        assert!(!proves(SIGNATURE, &anew, &key), "the same JSON in other bytes");
    }

    #[test]
    fn a_header_that_is_no_base64_of_a_signature_proves_nothing() {
        let key = key(PUBLISHED);
        let bytes = STANDARD.decode(SIGNATURE).unwrap();
        for header in [
            String::new(),
            "=".to_owned(),
            hex::encode(&bytes),
            SIGNATURE.trim_end_matches('=').to_owned(),
            SIGNATURE.to_lowercase(),
            format!(" {SIGNATURE}"),
            format!("{SIGNATURE}, {SIGNATURE}"),
            STANDARD.encode(bytes.get(1..).unwrap()),
            STANDARD.encode([bytes.as_slice(), &[0]].concat()),
            STANDARD.encode([&[0][..], bytes.as_slice()].concat()),
            STANDARD.encode(vec![0; bytes.len()]),
        ] {
            assert!(!proves(&header, BODY, &key), "{header}");
        }
    }

    #[test]
    fn a_shop_is_its_channels_sender_by_this_signature_and_by_nothing_else() {
        let senders = Senders::new(vec![KnownSender {
            channel: ChannelId::parse("shop").unwrap(),
            id: SenderId::authenticated("main-store"),
            proof: Proof::AdobeSigned(key(PUBLISHED)),
        }]);
        let signed = Credential::AdobeSignature { base64: SIGNATURE, body: BODY };
        assert_eq!(senders.authenticate("shop", signed).unwrap().id().as_str(), "main-store");
        assert!(senders.authenticate("edi", signed).is_err());
        for other in [
            Credential::Signature { hex: SIGNATURE, body: BODY },
            Credential::Bearer(SIGNATURE),
            Credential::ClientState { body: BODY },
            Credential::None,
        ] {
            assert!(senders.authenticate("shop", other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn a_new_key_counts_from_the_next_webhook_on_and_a_broken_file_shuts_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        std::fs::write(&file, PUBLISHED).unwrap();
        let key = PublicKeyFile::read(file.clone(), true).unwrap();
        let takes = || [SIGNATURE, OF_THE_OTHER_KEY].map(|signature| proves(signature, BODY, &key));
        assert_eq!(takes(), [true, false]);
        for written in [OTHER, "", "no key", PUBLISHED.trim_end().trim_end_matches('-')] {
            std::fs::write(&file, written).unwrap();
            assert_eq!(takes(), [false, true], "after {written:?}");
        }
        std::fs::write(&file, PUBLISHED).unwrap();
        assert_eq!(takes(), [true, false]);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(takes(), [true, false]);
    }

    #[test]
    fn a_published_key_that_takes_a_shops_place_proves_nobody_where_none_is_to_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        std::fs::write(&file, OTHER).unwrap();
        let key = PublicKeyFile::read(file.clone(), false).unwrap();
        std::fs::write(&file, PUBLISHED).unwrap();
        assert_eq!([SIGNATURE, OF_THE_OTHER_KEY].map(|signature| proves(signature, BODY, &key)), [false, true]);
    }
}
