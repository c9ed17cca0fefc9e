//! Descriptors that go with a command.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};
use testjig_qmp::ErrorKind;
use testjig_qmp::commands::{AddFd, Cont, Stop};

use crate::fake::{LONG, clog, connected};

/// Receives a line byte by byte, so that nothing of the next is taken, and the descriptors that came with it.
fn receive_descriptors(socket: &UnixStream) -> (Vec<u8>, Vec<OwnedFd>) {
    let (mut received, mut descriptors) = (Vec::new(), Vec::new());
    while !received.ends_with(b"\n") {
        let mut bytes = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut iov = [IoSliceMut::new(&mut bytes)];
        let result = recvmsg(socket, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC);
        let count = result.expect("the client sends").bytes;
        assert_ne!(count, 0, "the client sends a whole line");
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        received.extend_from_slice(&bytes[..count]);
    }
    (received, descriptors)
}

#[test]
fn a_descriptor_goes_with_its_command_and_no_other() {
    let (mut qmp, script) = connected(|mut peer| {
        for (name, count) in [("stop", 0), ("add-fd", 1), ("cont", 0)] {
            let (line, descriptors) = receive_descriptors(peer.socket());
            let command: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(command["execute"], name);
            assert_eq!(descriptors.len(), count, "with {name}");
            for descriptor in descriptors {
                let mut text = String::new();
                File::from(descriptor).read_to_string(&mut text).unwrap();
                assert_eq!(text, "through the socket");
            }
            peer.reply(&command, &json!({"fdset-id": 3, "fd": 9}));
        }
    });
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    File::from(writer).write_all(b"through the socket").unwrap();
    qmp.execute(&Stop).unwrap();
    let added = qmp.execute_with_fd(&AddFd::to_set(3), &reader).unwrap();
    assert_eq!((added.fdset_id, added.fd), (3, 9));
    qmp.execute(&Cont).unwrap();
    script.join();
}

#[test]
fn a_descriptor_waits_for_the_rest_of_an_earlier_command() {
    let (release, released) = std::sync::mpsc::channel();
    let (mut qmp, script) = connected(move |peer| {
        let sent: usize = released.recv().unwrap();
        for number in 0..=sent {
            let (line, descriptors) = receive_descriptors(peer.socket());
            let command: Value = serde_json::from_slice(&line).unwrap();
            let is_last = number == sent;
            assert_eq!(
                command["execute"] == "add-fd",
                is_last,
                "{}",
                command["execute"]
            );
            assert_eq!(descriptors.len(), usize::from(is_last));
        }
    });
    let sent = clog(&mut qmp).len() - 1;
    let error = qmp
        .execute_with_fd(&AddFd::to_new_set(), File::open("/dev/null").unwrap())
        .expect_err("nobody reads");
    assert!(
        matches!(error.kind(), ErrorKind::TimedOut { unsent: true, .. }),
        "{error:?}"
    );
    release.send(sent).unwrap();
    qmp.set_timeout(LONG);
    qmp.execute_with_fd(&AddFd::to_new_set(), File::open("/dev/null").unwrap())
        .expect_err("the peer closes without a reply");
    script.join();
}

#[test]
fn a_withdrawn_descriptor_does_not_go_with_the_next_command() {
    let (release, released) = std::sync::mpsc::channel();
    let (mut qmp, script) = connected(move |mut peer| {
        let sent: usize = released.recv().unwrap();
        for number in 0..=sent {
            let (line, descriptors) = receive_descriptors(peer.socket());
            let command: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(descriptors.len(), 0);
            if number == sent {
                assert_eq!(command["execute"], "stop");
                peer.reply(&command, &json!({}));
            }
        }
    });
    let sent = clog(&mut qmp).len() - 1;
    qmp.execute_with_fd(&AddFd::to_new_set(), File::open("/dev/null").unwrap())
        .expect_err("nobody reads");
    release.send(sent).unwrap();
    qmp.set_timeout(LONG);
    qmp.execute(&Stop).unwrap();
    script.join();
}
