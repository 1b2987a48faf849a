//! What somebody types from a letter.

use konsil::access::tan::{ADMIT, Admit, SECRET, TYPED_MAX, WHOLE, normalise};

pub fn run(input: &[u8]) {
    let Ok(typed) = std::str::from_utf8(input) else { return };
    let Ok(text) = normalise(typed) else {
        assert!(Admit::read(typed).is_err() && Admit::read_half(typed).is_err());
        return;
    };
    assert!(text.len() <= TYPED_MAX);
    let plain = String::from_utf8(text).expect("ASCII");
    assert!(plain.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() && !b"ILOU".contains(&byte)));
    assert_eq!(normalise(&plain).as_deref(), Ok(plain.as_bytes()), "what is plain already stays");
    assert_eq!(Admit::read(typed), Admit::read(&plain));
    assert_eq!(Admit::read(typed), Admit::read(&plain.to_lowercase()));
    assert_eq!(Admit::read_half(typed).is_ok(), plain.len() == ADMIT);
    if let Ok(admit) = Admit::read(typed) {
        assert!([ADMIT, ADMIT + SECRET + 1].contains(&plain.len()) && plain.len() <= WHOLE);
        assert_eq!(Admit::read_half(&plain[..ADMIT]), Ok(admit));
    }
}
