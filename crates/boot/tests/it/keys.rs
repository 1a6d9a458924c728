//! Key files: secret ones that stay secret, and rings that are trusted whole or not at all (P5).

use std::{fs, path::Path};

use beacon_boot::{load_key_ring, load_or_create_runner_key, load_service_key_ring};
use beacon_spec::{PUBLISHED_KEY, SigningKey};
use beacon_testkit::test_key;
use serde_json::{Value, json};

fn entry(kid: &str, public_key: &str) -> Value {
    json!({ "kid": kid, "public_key": public_key })
}

fn write(folder: &Path, ring: &Value) -> std::path::PathBuf {
    let path = folder.join("keys.json");
    fs::write(&path, ring.to_string()).unwrap();
    path
}

#[test]
fn a_runner_key_is_made_once_and_is_the_same_ever_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.runner-key");

    let made = load_or_create_runner_key(&path).unwrap();
    let read = load_or_create_runner_key(&path).unwrap();

    assert_eq!(made.public_key(), read.public_key());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_a_key_and_others_make_it_useless() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.runner-key");
    load_or_create_runner_key(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    for (mode, usable) in [(0o400, true), (0o640, false), (0o604, false), (0o600, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();

        match load_or_create_runner_key(&path) {
            Ok(_) => assert!(usable, "{mode:o}"),
            Err(error) => {
                assert!(!usable && error.to_string().contains("chmod 600"), "{mode:o}: {error}");
            }
        }
    }
}

#[test]
fn what_a_killed_process_left_unfinished_does_not_stand_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.runner-key");
    fs::write(folder.path().join("beacon.runner-key.new"), "half a k").unwrap();

    let made = load_or_create_runner_key(&path).unwrap();

    assert_eq!(load_or_create_runner_key(&path).unwrap().public_key(), made.public_key());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_holds_no_key_is_named_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.runner-key");
    for text in ["", "precious notes", "AAAA"] {
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

        let error = load_or_create_runner_key(&path).err().unwrap().to_string();

        assert!(error.contains("beacon.runner-key"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_folder_that_does_not_exist_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();

    let error = load_or_create_runner_key(&folder.path().join("nowhere/key")).err().unwrap().to_string();

    assert!(error.contains("folder must be writable"), "{error}");
}

#[test]
fn a_ring_with_one_broken_entry_is_refused_whole_and_the_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ring = json!([entry("good", &test_key().public_key_base64()), entry("bad", "AAAA")]);

    let error = load_key_ring(&write(folder.path(), &ring)).err().unwrap().to_string();

    assert!(error.contains("keys.json") && error.contains("key 1 of the ring"), "{error}");
    let missing = load_key_ring(&folder.path().join("other.json")).err().unwrap().to_string();
    assert!(missing.contains("other.json"), "{missing}");
}

#[cfg(unix)]
#[test]
fn nobody_signs_receipts_with_the_published_key() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runner.key");
    std::fs::copy(crate::samples::root().join("examples/EXAMPLE-ONLY.key"), &path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();

    let error = load_or_create_runner_key(&path).err().unwrap().to_string();

    assert!(error.contains("published example key") && error.contains("runner.key"), "{error}");
}

#[test]
fn a_service_refuses_a_ring_with_an_example_key() {
    let folder = tempfile::tempdir().unwrap();
    let mine = SigningKey::from_seed([7; 32]).public_key_base64();
    let mut ring = json!([entry("mine", &mine)]);
    let path = write(folder.path(), &ring);
    assert!(load_service_key_ring(&path).is_ok());
    ring[0]["example"] = true.into();

    for ring in [ring, json!([entry("unmarked", PUBLISHED_KEY)])] {
        write(folder.path(), &ring);

        let error = load_service_key_ring(&path).err().unwrap().to_string();
        assert!(error.contains("example key") && error.contains("keys.json"), "{error}");
        assert!(load_key_ring(&path).is_ok(), "a person may run the examples");
    }
}

#[test]
fn a_service_refuses_a_ring_that_trusts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &json!([]));

    let error = load_service_key_ring(&path).err().unwrap().to_string();

    assert!(error.contains("keys.json") && error.contains("beacon keygen"), "{error}");
    assert!(load_key_ring(&path).is_ok(), "a person may verify without one");
}

#[test]
fn a_service_refuses_the_ring_of_the_examples() {
    let path = crate::samples::root().join("examples/keys.json");

    assert!(load_key_ring(&path).is_ok());
    assert!(load_service_key_ring(&path).is_err());
}
