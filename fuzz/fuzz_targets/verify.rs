//! Bytes near signed jobs: whatever a verifier accepts has the signed content of one of the seeds, and runs the same.

#![no_main]

use std::sync::OnceLock;

use beacon_spec::{
    Freshness, JobSpec, KeyRing, Sha256Digest, SignedSpec, Timestamp, VerifiedSpec, VerifyError, inspect,
    verify,
};
use libfuzzer_sys::fuzz_target;

/// One signed job for every profile and envelope, by the published test key.
const SEEDS: [&[u8]; 7] = [
    include_bytes!("../corpus/verify/p.json"),
    include_bytes!("../corpus/verify/l1.json"),
    include_bytes!("../corpus/verify/l2.json"),
    include_bytes!("../corpus/verify/l3.json"),
    include_bytes!("../corpus/verify/l4.json"),
    include_bytes!("../corpus/verify/dsse.json"),
    include_bytes!("../corpus/verify/wrapper.json"),
];

/// The test key, with every profile.
const RING: &[u8] = br#"[{ "kid": "test-only", "public_key": "IVL40Zt5HSRFMkLhXy6rbLfP+ntqXtMAl5YOBpiB2xI=",
    "profiles": ["L1", "L2", "L3", "L4"], "example": true }]"#;

struct World {
    ring: KeyRing,
    /// What was signed, and what runs from it.
    signed: Vec<(Sha256Digest, JobSpec)>,
}

fuzz_target!(|bytes: &[u8]| {
    let world = world();
    match accepted(bytes, &world.ring) {
        Ok(verified) => {
            let spec = unnamed(verified.spec());
            let known = |(digest, job): &(Sha256Digest, JobSpec)| {
                *digest == verified.canonical_digest() && *job == spec
            };
            assert!(world.signed.iter().any(known), "accepted something that nobody signed: {spec:?}");
            assert_eq!(verified.bytes(), bytes);
        }
        Err(refused) => {
            // The two ways in agree: what runs is what `beacon verify` calls good and able to run.
            let Ok(signed) = SignedSpec::new(bytes) else { return };
            let found = inspect(&signed, &world.ring, Timestamp::UNIX_EPOCH);
            assert!(found.verdict == refused.code() || found.cannot_run == Some(refused), "{found:?}");
        }
    }
});

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let ring = KeyRing::parse(RING).expect("the ring is a constant");
        let signed = SEEDS.map(|seed| accepted(seed, &ring).expect("the seeds are signed"));
        let signed = signed.iter().map(|seed| (seed.canonical_digest(), unnamed(seed.spec()))).collect();
        World { ring, signed }
    })
}

fn accepted(bytes: &[u8], ring: &KeyRing) -> Result<VerifiedSpec, VerifyError> {
    verify(SignedSpec::new(bytes)?, ring, Timestamp::UNIX_EPOCH, Freshness::NotedOnly)
}

/// The job without its name, which some profiles do not sign.
fn unnamed(spec: &JobSpec) -> JobSpec {
    JobSpec { name: "any".to_owned().try_into().expect("a name"), ..spec.clone() }
}
