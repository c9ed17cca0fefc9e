//! Beginning: version and root (version, attach, auth).

use super::*;

/// [version] Versions that the server does not know are answered with that.
#[testjig::test(on = Modern<Virtio9p>)]
fn unknown_versions_are_said_to_be(device: Modern<Virtio9p>) {
    let client = device.start(Layout::Split);
    for version in ["9P2000.X", "9P", "", "9p2000.l", "9P2000.L "] {
        let (_, agreed) = client.version(MSIZE, version).expect("an answer");
        assert_eq!(agreed, "unknown", "{version:?}");
    }
    let agreed = client.version(MSIZE, "9P2000.u").map(|agreed| agreed.1);
    assert_eq!(agreed.as_deref(), Ok("9P2000.u"));
    assert_eq!(client.version(MSIZE, L), Ok((MSIZE, L.to_owned())));
}

/// [version] The server agrees to no larger messages than the client, and refuses those in which little has room.
#[testjig::test(on = Modern<Virtio9p>)]
fn the_size_of_messages_is_agreed_on(device: Modern<Virtio9p>) {
    let client = device.start(Layout::Split);
    for msize in [0, 7, 1024, 4095] {
        assert_eq!(client.version(msize, L), Err(Errno::EMSGSIZE), "{msize}");
    }
    for msize in [4096, 8192, 65_536, 1 << 24] {
        let (agreed, _) = client.version(msize, L).expect("an answer");
        assert!((4096..=msize).contains(&agreed), "{agreed} of {msize}");
    }
}

/// [version] Beginning anew forgets all files.
#[testjig::test(on = Modern<Virtio9p>, vary(layout = LAYOUTS))]
fn a_new_version_forgets_the_files(device: Modern<Virtio9p>, layout: Layout) {
    let client = up(&device, layout);
    client.walk(ROOT, 1, &[]).expect("the root is there");
    client.version(MSIZE, L).expect("an answer");
    for fid in [ROOT, 1] {
        assert_eq!(client.clunk(fid), Err(Errno::ENOENT), "{fid}");
    }
    client.attach(1, "root", "").expect("its number is free");
}

/// [attach] Several roots can be named; a number only once.
#[testjig::test(on = Modern<Virtio9p>)]
fn a_root_is_named_once(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    assert_eq!(client.attach(ROOT, "root", ""), Err(Errno::EINVAL));
    let one = client.attach(5, "nobody", "").expect("another number");
    let two = client.attach(6, "", "").expect("another number");
    assert_eq!(one, two);
    client.clunk(5).expect("it was named");
    works(&client);
}

/// [auth] Nobody has to say who he is, and nobody can.
#[testjig::test(on = Modern<Virtio9p>)]
fn nobody_is_asked_who_he_is(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    let body = Body::new().u32(9).text("root").text("").u32(0);
    assert_eq!(client.request(Kind::TAUTH, &body), Err(Errno::EOPNOTSUPP));
}

/// [2.4.1 of Virtio 1.2] A device that is reset has forgotten its client.
#[testjig::test(on = Modern<Virtio9p>)]
fn a_reset_forgets_the_client(device: Modern<Virtio9p>) {
    for layout in LAYOUTS {
        let client = up(&device, layout);
        client.walk(ROOT, 1, &[]).expect("the root is there");
        device.device().reset();
        drop(client);
        let client = device.start(layout);
        assert_eq!(client.clunk(ROOT), Err(Errno::ENOENT), "{layout:?}");
        device.device().reset();
    }
}
