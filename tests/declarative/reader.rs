//! What browsers ignore, and what makes an ordinary message.

use webpush_channels::declarative::Direction;
use webpush_channels::testing::declarative::{Declared, Ordinary};

use crate::{URL, standard, webkit, with};

#[track_caller]
fn read(members: &str) -> Declared {
    standard(with(members)).expect(members)
}

#[test]
fn members_of_the_wrong_type_are_ignored_one_by_one() {
    for member in [
        r#""dir":1"#,
        r#""dir":"LTR""#,
        r#""lang":null"#,
        r#""body":{"text":"B"}"#,
        r#""tag":7"#,
        r#""image":[]"#,
        r#""icon":true"#,
        r#""badge":0"#,
        r#""vibrate":100"#,
        r#""vibrate":[100,-1]"#,
        r#""vibrate":[100,0.5]"#,
        r#""vibrate":[4294967296]"#,
        r#""vibrate":["100"]"#,
        r#""timestamp":-1"#,
        r#""timestamp":1.5"#,
        r#""timestamp":"1""#,
        r#""timestamp":18446744073709551616"#,
        r#""renotify":1"#,
        r#""silent":"true""#,
        r#""requireInteraction":0"#,
        r#""require_interaction":true"#,
        r#""requireinteraction":true"#,
        r#""actions":{"action":"a","title":"A","navigate":"/a"}"#,
        r#""actions":[null,1,"a",[]]"#,
        r#""actions":[{"action":1,"title":"A","navigate":"/a"},{"action":"a","navigate":"/a"}]"#,
        r#""icon":"https://[bad""#,
        r#""mutable":true"#,
        r#""app_badge":3"#,
    ] {
        let with_body = read(&format!(r#"{member},"x":1"#));
        let mut bare = Declared::default();
        bare.title = "T".to_owned();
        bare.navigate = URL.to_owned();
        assert!(with_body == bare, "{member}");
    }
}

#[test]
fn members_of_the_right_type_are_read() {
    let shown = read(
        r#""dir":"rtl","lang":"","body":"B","tag":"t","image":"i.png","icon":"/i.png","badge":"//b.example/b",
        "vibrate":[0,4294967295,1.0],"timestamp":1e3,"renotify":true,"silent":false,"requireInteraction":true,
        "data":{"b":[1,null],"a":"x"},"actions":[{"action":"","title":"","navigate":"","icon":"a.png","x":1}]"#,
    );
    assert_eq!(shown.dir, Some(Direction::Rtl));
    assert_eq!(
        (shown.lang.as_deref(), shown.body.as_deref(), shown.tag.as_deref()),
        (Some(""), Some("B"), Some("t"))
    );
    assert_eq!(shown.image.as_deref(), Some("https://app.example/scope/i.png"));
    assert_eq!(shown.icon.as_deref(), Some("https://app.example/i.png"));
    assert_eq!(shown.badge.as_deref(), Some("https://b.example/b"));
    assert_eq!(shown.vibrate, Some(vec![0, u32::MAX, 1]));
    assert_eq!(shown.timestamp, Some(1000));
    assert_eq!(
        (shown.renotify, shown.silent, shown.require_interaction),
        (Some(true), Some(false), Some(true))
    );
    assert_eq!(shown.data.as_deref(), Some(r#"{"a":"x","b":[1,null]}"#));
    let action = &shown.actions[0];
    assert_eq!((action.name.as_str(), action.title.as_str()), ("", ""));
    assert_eq!(action.navigate, "https://app.example/scope/");
    assert_eq!(action.icon.as_deref(), Some("https://app.example/scope/a.png"));
}

#[test]
fn what_makes_an_ordinary_message_is_told() {
    for (members, reason) in [
        (r#""silent":true,"vibrate":[]"#, Ordinary::SilentVibration),
        (r#""renotify":true,"tag":"""#, Ordinary::RenotifyWithoutTag),
        (r#""renotify":true,"tag":1"#, Ordinary::RenotifyWithoutTag),
        (
            r#""actions":[{},{"action":"a","title":"A","navigate":"https://a:x/"}]"#,
            Ordinary::Action { index: 1 },
        ),
        (r#""navigate":"http://""#, Ordinary::Navigate),
        (r#""title":null"#, Ordinary::Title),
    ] {
        assert_eq!(standard(with(members)), Err(reason), "{members}");
    }
    for (payload, reason) in [
        (&b"\xff"[..], Ordinary::NotJson),
        (b"8030", Ordinary::NotJson),
        (br#"{"web_push":8030,"notification":{"title":"T","navigate":"/"}} x"#, Ordinary::NotJson),
        (br#"{"web_push":8030.5}"#, Ordinary::Marker),
        (br#"{"web_push":[8030]}"#, Ordinary::Marker),
        (br#"{"WEB_PUSH":8030,"notification":{"title":"T","navigate":"/"}}"#, Ordinary::Marker),
        (br#"{"web_push":8030,"notification":[]}"#, Ordinary::Notification),
    ] {
        assert_eq!(standard(payload), Err(reason));
        assert_eq!(webkit(payload), Err(reason));
    }
}

#[test]
fn a_byte_order_mark_and_broken_text_are_no_obstacle() {
    let payload = [b"\xef\xbb\xbf", with(r#""body":"ab"#).as_bytes()].concat();
    let payload = [&payload[..payload.len() - 2], b"\xff\"}}"].concat();
    assert_eq!(standard(payload).unwrap().body.as_deref(), Some("ab\u{fffd}"));
}

#[test]
fn webkit_takes_no_member_of_the_wrong_type() {
    for (members, name) in [
        (r#""dir":"up""#, "dir"),
        (r#""dir":1"#, "dir"),
        (r#""lang":{}"#, "lang"),
        (r#""body":{}"#, "body"),
        (r#""tag":{}"#, "tag"),
        (r#""icon":0"#, "icon"),
        (r#""icon":"world""#, "icon"),
        (r#""silent":0"#, "silent"),
        (r#""mutable":"true""#, "mutable"),
        (r#""app_badge":"18446744073709551616""#, "app_badge"),
        (r#""app_badge":"-1""#, "app_badge"),
        (r#""app_badge":-1"#, "app_badge"),
        (r#""app_badge":true"#, "app_badge"),
    ] {
        assert_eq!(webkit(with(members)), Err(Ordinary::Member { name }), "{members}");
    }
    for (members, reason) in
        [(r#""title":"""#, Ordinary::Title), (r#""navigate":"/m/1""#, Ordinary::Navigate)]
    {
        assert_eq!(webkit(with(members)), Err(reason), "{members}");
    }
    // What it does not read cannot be wrong.
    for members in [r#""silent":true,"vibrate":[1]"#, r#""renotify":true"#, r#""actions":[{"navigate":1}]"#] {
        assert!(webkit(with(members)).is_ok(), "{members}");
    }
}

#[test]
fn webkit_reads_badge_and_mutable_in_both_places() {
    let at_the_top = |members: &str| {
        format!(r#"{{"web_push":8030,{members},"notification":{{"title":"T","navigate":"{URL}"}}}}"#)
    };
    for payload in [
        at_the_top(r#""app_badge":20,"mutable":true"#),
        at_the_top(r#""app_badge":"20","mutable":true"#),
        with(r#""app_badge":20,"mutable":true"#),
        with(r#""app_badge":"20","mutable":true"#),
    ] {
        let shown = webkit(&payload).expect(&payload);
        assert_eq!((shown.app_badge, shown.mutable), (Some(20), true), "{payload}");
    }
}
