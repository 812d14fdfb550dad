//! JSON as Python's `json.dumps(value, sort_keys=True, separators=(',', ':'))` writes it: what the original service puts
//! into a push, octet by octet.
//!
//! One thing cannot be the same: whole numbers beyond 64 bits are floats to this service, and are written as such.

use std::fmt::Write;

use serde_json::{Map, Number, Value};

/// An object, its members sorted by their names' code points, in ASCII.
pub(crate) fn object(members: &Map<String, Value>) -> String {
    let mut out = String::new();
    write_object(members, &mut out);
    out
}

// The depth is bounded: the parser takes 128 levels.
fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => write_object(members, out),
    }
}

fn write_object(members: &Map<String, Value>, out: &mut String) {
    // The map is sorted only as long as no crate of the build asks serde_json to keep the order of insertion. UTF-8
    // sorts as its code points do.
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    out.push('{');
    for (i, (name, value)) in members.into_iter().enumerate() {
        out.push_str(if i == 0 { "" } else { "," });
        write_text(name, out);
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => escape(c, out),
        }
    }
    out.push('"');
}

/// One `\u` for each unit of UTF-16.
fn escape(c: char, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        write!(out, "\\u{unit:04x}").expect("a string takes everything");
    }
}

fn write_number(number: &Number, out: &mut String) {
    match number.as_f64() {
        Some(float) if number.is_f64() => write_float(float, out),
        _ => out.push_str(&number.to_string()),
    }
}

/// Python's `repr`: the shortest digits that are this float, with an exponent below 1e-4 and from 1e16 on.
fn write_float(float: f64, out: &mut String) {
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("this format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if (-4..16).contains(&exponent) {
        let plain = float.to_string();
        out.push_str(&plain);
        out.push_str(if plain.contains('.') { "" } else { ".0" });
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{mantissa}e{sign}{:02}", exponent.unsigned_abs()).expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: &str) -> String {
        object(&serde_json::from_str(json).unwrap())
    }

    /// Each second text is what Python prints for the first.
    #[test]
    fn it_is_what_python_prints() {
        for (json, python) in [
            ("{}", "{}"),
            (
                r#"{"b": [1, null, true, false], "a": {"z": -5, "B": {}, "y": []}}"#,
                r#"{"a":{"B":{},"y":[],"z":-5},"b":[1,null,true,false]}"#,
            ),
            (
                "{\"t\": \"caf\\u00e9 \u{1f514} \\u0000\\u001f\\u007f\\u2028 \\/ \\\\ \\\" \\b\\f\\n\\r\\t\"}",
                r#"{"t":"caf\u00e9 \ud83d\udd14 \u0000\u001f\u007f\u2028 / \\ \" \b\f\n\r\t"}"#,
            ),
            (
                "{\"\u{ffff}\": 1, \"\u{10000}\": 2, \"~\": 3, \"a\": 4, \"Z\": 5}",
                r#"{"Z":5,"a":4,"~":3,"\uffff":1,"\ud800\udc00":2}"#,
            ),
            (
                r#"{"i": [0, 18446744073709551615, -9223372036854775808]}"#,
                r#"{"i":[0,18446744073709551615,-9223372036854775808]}"#,
            ),
        ] {
            assert_eq!(canonical(json), python);
        }
    }

    #[test]
    fn floats_are_pythons_repr() {
        for (json, python) in [
            ("1.0", "1.0"),
            ("-0.0", "-0.0"),
            ("1.5", "1.5"),
            ("0.1", "0.1"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("-0.000015", "-1.5e-05"),
            ("1e15", "1000000000000000.0"),
            ("123456789012345.6", "123456789012345.6"),
            ("1e16", "1e+16"),
            ("1.25e22", "1.25e+22"),
            ("1e100", "1e+100"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            // A parser in a hurry takes these for their neighbours.
            ("1.8984972911602638", "1.8984972911602638"),
            ("223221.11021323866", "223221.11021323866"),
        ] {
            assert_eq!(canonical(&format!("{{\"x\": {json}}}")), format!("{{\"x\":{python}}}"));
        }
    }

    #[test]
    fn a_repeated_name_keeps_its_last_value() {
        assert_eq!(canonical(r#"{"a": 1, "a": 2}"#), r#"{"a":2}"#);
    }
}
