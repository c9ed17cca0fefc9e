//! A resolver that answers every name with one address, so that no test needs an internet.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use crate::sys;

/// Where programs find it.
const HERE: &str = "127.0.0.1:53";
const TYPE_A: [u8; 2] = [0, 1];
const HEADER: usize = 12;

/// Starts it in a thread of its own, and tells programs of it.
pub(crate) fn start(address: Ipv4Addr) -> io::Result<()> {
    sys::loopback_up()?;
    let socket = UdpSocket::bind(HERE)?;
    fs::write("/etc/resolv.conf", "nameserver 127.0.0.1\n")?;
    thread::spawn(move || {
        let mut query = [0; 512];
        loop {
            if let Ok((count, from)) = socket.recv_from(&mut query) {
                if let Some(answer) = answer(&query[..count], address) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        }
    });
    Ok(())
}

/// The answer to a query of one question: the address, or that there is nothing of that kind (RFC 1035, section 4).
fn answer(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let (header, rest) = query.split_at_checked(HEADER)?;
    let is_query = header[2] & 0xf8 == 0;
    if !is_query || header[4..6] != [0, 1] {
        return None;
    }
    // The name is a row of labels, each behind its length, and ends with an empty one.
    let mut end = 0;
    while *rest.get(end)? != 0 {
        end += usize::from(rest[end]) + 1;
    }
    let question = rest.get(..end + 5)?;
    let is_for_address = question[end + 1..end + 3] == TYPE_A;
    let mut answer = header[..2].to_vec();
    // It is an answer, by an authority, to a query that may or may not have asked for recursion, which is available.
    answer.extend([0x84 | header[2] & 1, 0x80]);
    answer.extend([0, 1, 0, u8::from(is_for_address), 0, 0, 0, 0]);
    answer.extend(question);
    if is_for_address {
        // The name of the question, type A, class IN, valid for a minute, four bytes.
        answer.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);

    fn query(kind: u8) -> Vec<u8> {
        let mut query = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(b"\x03www\x07example\x03com\0");
        query.extend([0, kind, 0, 1]);
        query
    }

    #[test]
    fn every_name_is_at_the_address() {
        let answer = answer(&query(1), ADDRESS).expect("an answer");
        assert_eq!(answer[..2], [0xab, 0xcd]);
        assert_eq!(answer[2..4], [0x85, 0x80], "a response without an error");
        assert_eq!(answer[4..8], [0, 1, 0, 1], "one question, one answer");
        assert_eq!(answer[answer.len() - 4..], [10, 0, 2, 100]);
    }

    #[test]
    fn another_kind_of_record_is_answered_with_none() {
        let answer = answer(&query(28), ADDRESS).expect("an answer");
        assert_eq!(answer[3] & 0xf, 0, "no error, or the name would not exist");
        assert_eq!(answer[4..8], [0, 1, 0, 0]);
        assert_eq!(answer.len(), query(28).len());
    }

    #[test]
    fn what_is_no_query_has_no_answer() {
        let whole = query(1);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length], ADDRESS), None, "{length} bytes");
        }
        let mut response = whole;
        response[2] |= 0x80;
        assert_eq!(answer(&response, ADDRESS), None);
    }
}
