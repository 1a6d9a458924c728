//! Any bytes: parsing and every canonical form never panic, and a canonical form is its own canonical form.

#![no_main]

use beacon_spec::{KeyRing, Profile, SignedSpec, Timestamp, canonical_form, inspect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match canonical_form(bytes) {
        Ok(form) => {
            assert_eq!(canonical_form(&form).as_ref(), Ok(&form));
            Profile::ALL.into_iter().for_each(|profile| check(profile, bytes, &form));
        }
        Err(refused) => {
            for profile in Profile::ALL {
                assert_eq!(profile.signed_bytes(bytes), Err(refused.clone()));
            }
        }
    }
    if let Ok(signed) = SignedSpec::new(bytes) {
        assert_ne!(inspect(&signed, &KeyRing::default(), Timestamp::UNIX_EPOCH).verdict, "good");
    }
});

/// What a profile signs is JSON again and signs as itself; and spelling does not matter to it.
fn check(profile: Profile, bytes: &[u8], form: &[u8]) {
    let signed = profile.signed_bytes(bytes).expect("the parser took it");
    if profile == Profile::Dsse {
        assert!(signed.ends_with(bytes), "DSSE signs the bytes as they are");
        return;
    }
    assert_eq!(profile.signed_bytes(&signed).as_ref(), Ok(&signed), "{profile}");
    // -0 is the one value that the Go form tells apart and JCS does not.
    let spelled = profile.signed_bytes(form).expect("a canonical form is JSON");
    assert_eq!(canonical_form(&spelled), canonical_form(&signed), "{profile}");
}
