//! Numbers on the wire: written as `0x` and the fewest digits, read as C's `strtoull` with base 0
//! reads them.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends `0x` and the fewest hexadecimal digits that hold `value`.
pub(crate) fn push_hex(out: &mut Vec<u8>, value: u64) {
    push_hex_padded(out, value, 1);
}

/// Appends `0x` and at least `digits` (1 to 16) hexadecimal digits.
pub(crate) fn push_hex_padded(out: &mut Vec<u8>, mut value: u64, digits: usize) {
    let mut text = *b"0x0000000000000000";
    let needed = (67 - (value | 1).leading_zeros() as usize) / 4;
    let length = 2 + needed.max(digits).min(16);
    let mut at = length;
    while value != 0 {
        at -= 1;
        text[at] = DIGITS[(value & 0xf) as usize];
        value >>= 4;
    }
    out.extend_from_slice(&text[..length]);
}

/// Appends `value` in decimal.
pub(crate) fn push_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// Reads an unsigned number: `0x` hexadecimal, a leading `0` octal, anything else decimal.
///
/// `None` for signs, blanks, digits of another base, nothing at all, and what exceeds 64 bits.
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    match text {
        [b'0', b'x' | b'X', digits @ ..] => parse_hex_digits(digits),
        [b'0', digits @ ..] if !digits.is_empty() => {
            digits.iter().try_fold(0_u64, |value, digit| {
                let digit = digit.wrapping_sub(b'0');
                (digit < 8 && value >> 61 == 0).then(|| value << 3 | u64::from(digit))
            })
        }
        _ => parse_decimal(text),
    }
}

/// Reads a number that begins with `0x`.
pub(crate) fn parse_hex(text: &[u8]) -> Option<u64> {
    parse_hex_digits(text.strip_prefix(b"0x")?)
}

/// Reads an unsigned decimal number.
pub(crate) fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Reads a decimal number with an optional `-`.
pub(crate) fn parse_signed(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"-") {
        Some(digits) => 0_i64.checked_sub_unsigned(parse_decimal(digits)?),
        None => parse_decimal(text)?.try_into().ok(),
    }
}

fn parse_hex_digits(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for &digit in digits {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        if value >> 60 != 0 {
            return None;
        }
        value = value << 4 | u64::from(nibble);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(value: u64) -> String {
        let mut out = Vec::new();
        push_hex(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hex_has_the_fewest_digits() {
        for value in [
            0,
            1,
            0xf,
            0x10,
            0xff,
            0x100,
            0xfff_ffff,
            u64::MAX >> 1,
            u64::MAX,
        ] {
            assert_eq!(hex(value), format!("{value:#x}"));
        }
    }

    #[test]
    fn hex_is_padded_with_zeros_but_never_cut() {
        let mut out = Vec::new();
        push_hex_padded(&mut out, 0x80, 4);
        push_hex_padded(&mut out, 0x12345, 4);
        push_hex_padded(&mut out, 0, 16);
        assert_eq!(out, b"0x00800x123450x0000000000000000");
    }

    #[test]
    fn decimal_matches_display() {
        for value in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }

    #[test]
    fn bases_follow_the_prefix() {
        assert_eq!(parse(b"0x1F"), Some(0x1f));
        assert_eq!(parse(b"017"), Some(0o17));
        assert_eq!(parse(b"17"), Some(17));
        assert_eq!(parse(b"0"), Some(0));
        assert_eq!(parse(b"0xffffffffffffffff"), Some(u64::MAX));
        assert_eq!(parse(b"01777777777777777777777"), Some(u64::MAX));
        assert_eq!(parse(b"18446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "0x",
            "x",
            "-1",
            "+1",
            " 1",
            "1 ",
            "08",
            "0b1",
            "1f",
            "0xg",
            "0x10000000000000000",
            "02000000000000000000000",
            "18446744073709551616",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn signed_numbers_reach_both_ends() {
        assert_eq!(parse_signed(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_signed(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_signed(b"-9223372036854775809"), None);
        assert_eq!(parse_signed(b"9223372036854775808"), None);
        assert_eq!(parse_signed(b"-"), None);
        assert_eq!(parse_signed(b"--1"), None);
    }
}
