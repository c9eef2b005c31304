//! Files that are refused, each with the one line that says why.

pub(super) const FILES: &[(&[u8], &str)] = &[
    (b"", "export ends too early, at byte `0` (line `1`, column `1`, ``): fetch the file again"),
    (b"\xEF\xBB\xBF{}", "export begins with a byte order mark at byte `0`: save it as utf-8 without one"),
    (b"\xFF\xFE{\0}\0", "export is utf-16 at byte `0`: save it as utf-8"),
    (b"{\0}\0", "export is utf-16 at byte `0`: save it as utf-8"),
    (b"[]", "export holds `list` at its top in place of an object"),
    (b"{} {}", "export is not json: something follows its end at byte `3` (line `1`, column `4`, ``)"),
    (b"{} x", "export is not json: something follows its end at byte `3` (line `1`, column `4`, ``)"),
    (b"{\"a\": \"\xC3\x28\"}", "export is not utf-8 at byte `7` (line `1`, column `8`, `/*`)"),
    (b"{\"a\xFF\": 1}", "export is not utf-8 at byte `3` (line `1`, column `4`, ``)"),
    (
        b"{\"a\": \"\\ud800x\"}",
        "export is not json: half of a utf-16 pair as an escape at byte `7` (line `1`, column `8`, `/*`)",
    ),
    (
        b"{\"a\": \"\x01\"}",
        "export is not json: a control character at byte `7` (line `1`, column `8`, `/*`)",
    ),
    (
        b"{\"a\":\n  bad}",
        "export is not json: a sign that begins no value at byte `8` (line `2`, column `3`, `/*`)",
    ),
    (
        b"{\"a\": 1,}",
        "export is not json: a comma after the last item at byte `7` (line `1`, column `8`, ``)",
    ),
    (b"{\"a\": 1 \"b\": 2}", "export is not json: no comma at byte `8` (line `1`, column `9`, ``)"),
    (b"{\"a\": [1", "export ends too early, at byte `8` (line `1`, column `9`, `/*`): fetch the file again"),
    (b"{\"a\": tru", "export ends too early, at byte `6` (line `1`, column `7`, `/*`): fetch the file again"),
    (
        b"{\"a\": \"lea",
        "export ends too early, at byte `10` (line `1`, column `11`, `/*`): fetch the file again",
    ),
    (b"{\"a\"", "export ends too early, at byte `4` (line `1`, column `5`, `/*`): fetch the file again"),
    (b"{\"a\": 1, \"a\": 2}", "a name stands twice in one object at byte `12` (line `1`, column `13`, `/*`)"),
    (
        b"{\"a\": {\"x\": 1, \"\\u0078\": 2}}",
        "a name stands twice in one object at byte `23` (line `1`, column `24`, `/*/*`)",
    ),
    (
        b"{\"Profile\": {\"Profile Information\": {\"ProfileMap\": {\"Bio Text\": 1, \"Bio Text\": 2}}}}",
        "a name stands twice in one object at byte `77` (line `1`, column `78`, `/Profile/Profile \
         Information/ProfileMap/Bio Text`)",
    ),
    (
        b"{\"Profile\": {\"Profile Information\": {\"ProfileMap\": {\"userName\": \
         \"012345678901234567890\"}}}}",
        "a text is longer than `20` bytes at byte `64` (line `1`, column `65`, `/Profile/Profile \
         Information/ProfileMap/userName`)",
    ),
    (
        b"{\"Profile\": {\"Profile Information\": {\"ProfileMap\": [\"0123456789\", \"0123456789\", \
         [[[1]]]]}}}",
        "export is nested deeper than `5` at byte `81` (line `1`, column `82`, `/Profile/Profile \
         Information/ProfileMap/2/0`)",
    ),
    (
        b"{\"Profile\": {\"Profile Information\": {\"ProfileMap\": {\"a\": \"0123456789abcdefghij\", \
         \"b\": \"0123456789abcdefghij\", \"c\": \"x\"}}}}",
        "an item is larger than `60` bytes at byte `118` (line `1`, column `119`, `/Profile/Profile \
         Information/ProfileMap/c`)",
    ),
    (
        b"{\"a name of more than thirty signs\": 1}",
        "a name is longer than `30` bytes at byte `35` (line `1`, column `36`, ``)",
    ),
    (b"{\"a\": 1e400}", "a number is longer than an export needs at byte `6` (line `1`, column `7`, `/*`)"),
    (
        b"{\"Profile\": {\"Profile Information\": {\"ProfileMap\": {\"userName\": \"lea\"}}}, \"Profile \
         And Settings\": {\"Profile Info\": {\"ProfileMap\": {\"userName\": \"bo\"}}}}",
        "export names two people: another one at byte `147` (line `1`, column `148`, `/Profile And \
         Settings/Profile Info/ProfileMap/userName`)",
    ),
];
