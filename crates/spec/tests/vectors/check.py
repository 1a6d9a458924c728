#!/usr/bin/env python3
"""Checks the published test vectors without the library that made them: Python 3.8 or newer, standard library only.

It has its own canonical forms (RFC 8785 and the Go form), its own Ed25519 (RFC 8032, strict), its own DSSE encoding and
its own Merkle root (RFC 6962). What it does not judge is what runs from a job: `job`, and the reason in `cannot_run`.

    python3 crates/spec/tests/vectors/check.py
"""

import base64
import hashlib
import json
import math
import os
import struct
import sys
from datetime import datetime

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_DEPTH = 64


class Refused(Exception):
    """A stable code: why a job is refused."""


# --- JSON that means one thing only ---------------------------------------------------------------------------------


def parse(data):
    """The value of strict JSON: UTF-8, no duplicate keys, finite numbers, no lone surrogates, bounded depth."""
    try:
        text = data.decode("utf-8")
        if depth_of(text) > MAX_DEPTH:
            raise ValueError("too deep")
        value = json.loads(text, object_pairs_hook=members, parse_int=double, parse_float=double, parse_constant=refuse)
        whole_unicode(value)
        return value
    except ValueError as error:
        raise Refused("invalid_json") from error


def depth_of(text):
    """The deepest nesting of brackets outside strings."""
    depth = deepest = 0
    inside = escaped = False
    for c in text:
        if escaped:
            escaped = False
        elif inside:
            escaped, inside = c == "\\", c != '"'
        elif c == '"':
            inside = True
        elif c in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif c in "]}":
            depth -= 1
    return deepest


def members(pairs):
    """An object, if no key is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def double(text):
    """Numbers are IEEE doubles."""
    number = float(text)
    if math.isinf(number):
        raise ValueError("no double")
    return number


def refuse(text):
    """NaN and Infinity are not JSON."""
    raise ValueError(text)


def whole_unicode(value):
    """Raises an error, which is a ValueError, where a text holds half a surrogate pair."""
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, list):
        for item in value:
            whole_unicode(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            whole_unicode(key)
            whole_unicode(item)


# --- Canonical forms --------------------------------------------------------------------------------------------------

SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
JAVASCRIPT = dict(SHORT, **{"\b": "\\b", "\f": "\\f"})
GO = dict(SHORT, **{c: "\\u%04x" % ord(c) for c in "<>&\u2028\u2029"})


def canonical(value, go):
    """The canonical text of a value; `go` selects the Go form, else RFC 8785."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value, go)
    if isinstance(value, str):
        return string(value, go)
    if isinstance(value, list):
        return "[" + ",".join(canonical(item, go) for item in value) + "]"
    order = (lambda key: key.encode("utf-8")) if go else (lambda key: key.encode("utf-16-be"))
    return "{" + ",".join(string(key, go) + ":" + canonical(value[key], go) for key in sorted(value, key=order)) + "}"


def string(text, go):
    """A string with the escapes of Go or of JavaScript."""
    escapes = GO if go else JAVASCRIPT
    return '"' + "".join(escapes.get(c) or ("\\u%04x" % ord(c) if c < " " else c) for c in text) + '"'


def number(value, go):
    """ECMAScript's Number::toString (ECMA-262, section 6.1.6.1.20), from the shortest digits that Python's repr finds."""
    if value == 0:
        return "-0" if go and math.copysign(1, value) < 0 else "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    k, n = len(digits), point
    if k <= n <= 21:
        text = digits + "0" * (n - k)
    elif 0 < n <= 21:
        text = digits[:n] + "." + digits[n:]
    elif -6 < n <= 0:
        text = "0." + "0" * -n + digits
    else:
        rest = "." + digits[1:] if k > 1 else ""
        text = "%s%se%s%d" % (digits[0], rest, "+" if n > 0 else "-", abs(n - 1))
    return sign + text


# --- Ed25519, RFC 8032 section 5.1, strict ------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)


def add(one, other):
    """The sum of two points in extended coordinates."""
    (x1, y1, z1, t1), (x2, y2, z2, t2) = one, other
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, point):
    """A multiple of a point."""
    total = NEUTRAL
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def same(one, other):
    """Whether two points are equal."""
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (one[1] * other[2] - other[1] * one[2]) % P == 0


def decode_point(data):
    """The point of 32 bytes in its only spelling, or None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def is_small(point):
    """Whether the point's order divides 8."""
    return same(times(8, point), NEUTRAL)


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def holds(key, message, signature):
    """Whether a signature holds: R of large order in its only spelling, S < L, and [S]B = R + [k]A."""
    r, s = decode_point(signature[:32]), int.from_bytes(signature[32:], "little")
    if r is None or is_small(r) or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    return same(times(s, BASE), add(r, times(k, decode_point(key))))


def unbase64(text, length, urls=False):
    """The bytes of padded base64 in its only spelling, or None."""
    for alphabet in [b"+/"] + ([b"-_"] if urls else []):
        try:
            data = base64.b64decode(text, altchars=alphabet, validate=True)
        except ValueError:
            continue
        if base64.b64encode(data, altchars=alphabet).decode() == text and length in (None, len(data)):
            return data
    return None


# --- Profiles and envelopes ---------------------------------------------------------------------------------------------

PAYLOAD_TYPE = "application/vnd.beacon.jobspec+json"
FORMS = [("P", False), ("L1", True), ("L2", True), ("L3", True), ("L4", True), ("L4", False)]


def signed_bytes(job, profile, go):
    """What a signer of this profile signs."""
    left_out = {"P": ["id", "created_at"], "L1": ["id"], "L2": ["id"]}.get(profile, []) + ["signature", "public_key"]
    kept = {key: value for key, value in job.items() if key not in left_out}
    if profile in ("L2", "L3"):
        kept.update(signature="", public_key="")
    constraints = kept.get("constraints")
    if profile == "P" and isinstance(constraints, dict) and is_zero(constraints.get("min_success_rate")):
        kept["constraints"] = {key: value for key, value in constraints.items() if key != "min_success_rate"}
    return canonical(kept, go).encode("utf-8")


def is_zero(value):
    """Whether it is the number 0, and not False."""
    return isinstance(value, float) and value == 0


def pae(payload):
    """DSSE's pre-authentication encoding, version 1."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def claim(data):
    """(forms of signed bytes, key, signature, job, wrapper) of whichever envelope it is."""
    if not data:
        raise Refused("empty")
    outer = parse(data)
    if isinstance(outer, dict) and "benchmark" not in outer and "payloadType" in outer:
        return dsse_claim(outer)
    job, wrapper = outer, None
    if isinstance(outer, dict) and "benchmark" not in outer and "jobspec" in outer:
        job, wrapper = outer["jobspec"], outer
    if not isinstance(job, dict):
        raise Refused("invalid_field:job")
    for name in ("public_key", "signature"):
        if job.get(name) in (None, ""):
            raise Refused("missing_field:" + name)
    key = public_key(job["public_key"], "public_key")
    signature = unbase64(job["signature"], 64) if isinstance(job["signature"], str) else None
    if signature is None:
        raise Refused("invalid_field:signature")
    forms = [(profile, signed_bytes(job, profile, go)) for profile, go in FORMS]
    return forms, key, signature, lambda: job, wrapper


def dsse_claim(envelope):
    """The claim of a DSSE envelope; its payload is parsed when it is asked for."""
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise Refused("invalid_field:payloadType")
    payload = unbase64(envelope["payload"], None, urls=True)
    if payload is None:
        raise Refused("invalid_field:payload")
    if len(envelope["signatures"]) != 1:
        raise Refused("invalid_field:signatures")
    one = envelope["signatures"][0]
    key = public_key(one.get("keyid", ""), "signatures[0].keyid")
    signature = unbase64(one["sig"], 64, urls=True)
    if signature is None:
        raise Refused("invalid_field:signatures[0].sig")
    return [("DSSE", pae(payload))], key, signature, lambda: parse(payload), None


def public_key(text, field):
    """The key, if it is a point of large order in its only spelling."""
    key = unbase64(text, 32) if isinstance(text, str) else None
    point = decode_point(key) if key else None
    if point is None or is_small(point):
        raise Refused("invalid_field:" + field)
    return key


# --- Verdicts -----------------------------------------------------------------------------------------------------------


def time_of(text):
    """A time of RFC 3339."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def trust(ring, key, now):
    """The ring's entry of a key that may sign now."""
    entry = next((entry for entry in ring if entry["public_key"] == base64.b64encode(key).decode()), None)
    if entry is None:
        raise Refused("trust_violation:unknown")
    if entry.get("status") == "revoked":
        raise Refused("trust_violation:revoked")
    if "not_before" in entry and now < time_of(entry["not_before"]):
        raise Refused("trust_violation:not_yet_valid")
    if "not_after" in entry and now > time_of(entry["not_after"]):
        raise Refused("trust_violation:expired")
    return entry


def judge(data, ring, now):
    """(verdict, profile, canonical bytes, job or None)."""
    try:
        forms, key, signature, job, wrapper = claim(data)
    except Refused as refused:
        return str(refused), None, b"", None
    held = [(profile, form) for profile, form in forms if holds(key, form, signature)]
    try:
        profiles = trust(ring, key, now).get("profiles", []) + ["P", "DSSE"]
        if not held:
            raise Refused("signature_mismatch")
        held = [one for one in held if one[0] in profiles] or held
        if held[0][0] not in profiles:
            raise Refused("profile_not_allowed")
        job = job()
        if wrapper:
            contradict(wrapper, job)
        verdict = "good"
    except Refused as refused:
        verdict, job = str(refused), None
    return verdict, held[0][0] if held else None, held[0][1] if held else forms[0][1], job


REGIONS = {
    "us-east": ["us", "usa", "na"],
    "eu-west": ["eu", "europe"],
    "asia-pacific": ["asia", "apac", "asia-southeast"],
}


def region_set(names, field):
    """The regions of a list of names and aliases."""
    if not isinstance(names, list):
        raise Refused("invalid_field:" + field)
    found = set()
    for i, name in enumerate(names):
        name = name.lower().replace("_", "-")
        known = [region for region, aliases in REGIONS.items() if name == region or name in aliases]
        if not known:
            raise Refused("invalid_field:%s[%d]" % (field, i))
        found.add(known[0])
    return found


def contradict(wrapper, job):
    """A wrapper may repeat what was signed. The vectors' wrapped jobs have no models with regions of their own."""
    constraints = job["constraints"]
    if wrapper.get("target_regions") is not None:
        if region_set(wrapper["target_regions"], "target_regions") != region_set(constraints["regions"], "regions"):
            raise Refused("wrapper_contradicts")
    if (wrapper.get("min_regions") or 0) not in (0, max(1, constraints.get("min_regions") or 0)):
        raise Refused("wrapper_contradicts")
    if (wrapper.get("min_success_rate") or 0) not in (0, constraints.get("min_success_rate") or 0.67):
        raise Refused("wrapper_contradicts")


def in_window(job, now, window):
    """What a service says about time and nonce: a code, or ok. None if that needs more than this script knows."""
    metadata = job.get("metadata") or {}
    if not isinstance(metadata, dict):
        return None
    if not metadata.get("timestamp"):
        return "missing_field:metadata.timestamp"
    if not metadata.get("nonce"):
        return "missing_field:metadata.nonce"
    try:
        age = (now - time_of(metadata["timestamp"])).total_seconds()
    except ValueError:
        return None
    if age > window["max_age_s"]:
        return "timestamp_invalid:too_old"
    if -age > window["max_skew_s"]:
        return "timestamp_invalid:too_far_in_future"
    return "ok"


def check_case(case, file):
    """Differences between a case and what this script makes of it."""
    data = base64.b64decode(case["spec_base64"]) if "spec_base64" in case else case["spec"].encode("utf-8")
    now = time_of(file["now"])
    verdict, profile, form, job = judge(data, file["rings"][case["ring"]], now)
    digest = hashlib.sha256(form).hexdigest() if form else None
    found = {
        "verdict": verdict,
        "profile": profile,
        "canonical_length": len(form),
        "canonical_sha256": digest,
    }
    if "canonical" in case:
        found["canonical"] = form.decode("utf-8")
    if verdict != "good":
        found["local"] = found["service"] = "signature_mismatch" if verdict == "profile_not_allowed" else verdict
    else:
        found["local"] = case["cannot_run"] or "ok"
        timely = in_window(job, now, file["window"]) if isinstance(job, dict) else None
        if timely is not None:
            found["service"] = found["local"] if timely == "ok" else timely
    return ["%s is %r, not %r" % (name, case[name], value) for name, value in found.items() if case[name] != value]


# --- Records ------------------------------------------------------------------------------------------------------------


def leaf_of(record):
    """SHA-256 over the JCS form of a whole record."""
    return hashlib.sha256(canonical(record, False).encode("utf-8")).digest()


def root_of(leaves):
    """RFC 6962, section 2.1: the Merkle tree hash."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + root_of(leaves[:split]) + root_of(leaves[split:])).digest()


def is_signed(record):
    """Whether the signature of a record holds over its JCS form without it."""
    rest = {key: value for key, value in record.items() if key != "signature"}
    key, signature = unbase64(record.get("runner_key", ""), 32), unbase64(record.get("signature", ""), 64)
    return bool(key and signature) and holds(key, canonical(rest, False).encode("utf-8"), signature)


def problem_of(lines):
    """The first reason why an export does not hold, or None."""
    records = [parse(line.encode("utf-8")) for line in lines if line.strip()]
    if not all(is_signed(record) for record in records):
        return "a signature"
    receipts, close = records[:-1], records[-1]
    if close["schema"] != "beacon-close/1" or any(receipt["schema"] != "beacon-receipt/1" for receipt in receipts):
        return "receipts, then one close"
    for name in ("runner_key", "job", "spec_digest"):
        if len({record[name] for record in records}) != 1:
            return "another " + name
    places = [receipt["execution"] for receipt in receipts]
    if places != sorted(set(places)):
        return "the order of the plan"
    if close["receipts"] != len(receipts) or close["merkle_root"] != root_of([leaf_of(one) for one in receipts]).hex():
        return "the close"
    count = lambda outcome: sum(receipt["outcome"] == outcome for receipt in receipts)
    ended = sum(close[name] for name in ("completed", "failed", "cancelled", "timed_out", "unsupported"))
    if ended != close["expected"] or count("completed") != close["completed"]:
        return "the counts"
    if count("failed") > close["failed"] or count("timed_out") > close["timed_out"]:
        return "the counts"
    return None


# --- The run ------------------------------------------------------------------------------------------------------------


def load(name):
    """A file of vectors."""
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return json.load(file)


def check_itself():
    """The first two vectors of RFC 8032, section 7.1, of which the second must also fail when it is changed."""
    vectors = [
        ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
        ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ]
    for key, message, signature in vectors:
        key, message, signature = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
        yield "RFC 8032", [] if holds(key, message, signature) else ["does not hold"]
        yield "RFC 8032, changed", ["holds"] if holds(key, message + b"!", signature) else []


def checks():
    """Every vector with the differences found."""
    yield from check_itself()
    spellings = load("canonical.json")
    for one in spellings["numbers"]:
        value = struct.unpack(">d", bytes.fromhex(one["bits"]))[0]
        found = {"jcs": number(value, False), "go": number(value, True)}
        yield one["bits"], ["%s is %r, not %r" % (name, one[name], text) for name, text in found.items() if one[name] != text]
    for one in spellings["texts"]:
        value = parse(one["json"].encode("utf-8"))
        found = {"jcs": canonical(value, False), "go": canonical(value, True)}
        yield one["json"], ["%s is %r, not %r" % (name, one[name], text) for name, text in found.items() if one[name] != text]
    for name in ("jobs.json", "refused.json", "unusable.json"):
        file = load(name)
        for case in file["cases"]:
            yield case["name"], check_case(case, file)
    file = load("records.json")
    lines = [record["line"] for record in file["records"]]
    for record in file["records"]:
        value = parse(record["line"].encode("utf-8"))
        signed = canonical({key: item for key, item in value.items() if key != "signature"}, False).encode("utf-8")
        found = [leaf_of(value).hex(), len(signed), hashlib.sha256(signed).hexdigest(), value["runner_key"]]
        stated = [record["leaf_sha256"], record["signed_length"], record["signed_sha256"], file["runner_key"]]
        yield value["schema"], [] if found == stated and is_signed(value) else ["%r, not %r" % (stated, found)]
    for export in file["exports"]:
        problem = problem_of([line if isinstance(line, str) else lines[line] for line in export["lines"]])
        good = export["verdict"] == "good"
        yield export["name"], [] if good == (problem is None) else ["%s, but: %s" % (export["verdict"], problem)]
    for one in file["roots"]:
        leaves = [hashlib.sha256(str(n).encode()).digest() for n in range(one["leaves"])]
        yield "%d leaves" % one["leaves"], [] if root_of(leaves).hex() == one["root"] else ["another root"]


def main():
    """Prints every difference, then one line that counts; exits with 1 if there was any."""
    total = failed = 0
    for name, differences in checks():
        total += 1
        failed += bool(differences)
        for difference in differences:
            print("%s: %s" % (name, difference))
    print("%d vectors checked, %d differ" % (total, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
