//! What a file system that can't be changed refuses (mkdir, lcreate, symlink, …), and what no server knows.

use super::*;

/// Requests that would change something, on the root.
fn changes() -> Vec<(Kind, Body)> {
    let root = Body::new().u32(ROOT);
    vec![
        (Kind::TMKDIR, root.clone().text("new").u32(0o755).u32(0)),
        (
            Kind::TLCREATE,
            root.clone().text("new").u32(lopen::RDWR).u32(0o644).u32(0),
        ),
        (
            Kind::TSYMLINK,
            root.clone().text("new").text("WRITE").u32(0),
        ),
        (
            Kind::TMKNOD,
            root.clone().text("new").u32(0o10_644).u32(0).u32(0).u32(0),
        ),
        (Kind::TUNLINKAT, root.clone().text("WRITE").u32(0)),
        (
            Kind::TRENAMEAT,
            root.clone().text("WRITE").u32(ROOT).text("new"),
        ),
    ]
}

/// Nothing is made or removed, and the server goes on.
#[testjig::test(on = Modern<Virtio9p>, vary(layout = LAYOUTS))]
fn nothing_is_changed(device: Modern<Virtio9p>, layout: Layout) {
    let client = up(&device, layout);
    for (kind, body) in changes() {
        assert!(client.request(kind, &body).is_err(), "{kind:?}");
        assert_eq!(client.walk(ROOT, 5, &["new"]), Err(Errno::ENOENT));
    }
    works(&client);
}

/// On a file system that is said to be read-only, all of these fail for that reason, and what only looks does not.
#[testjig::test(
    on = Q35,
    launch = |launch| launch
        .arg("-fsdev")
        .arg("synth,id=files,readonly=on")
        .device(Device::new("virtio-9p-pci").prop("fsdev", "files").prop("mount_tag", "t").prop("addr", "04.0"))
)]
fn a_read_only_file_system_says_so(vm: &Vm) {
    use testjig::qos::pci::Pci;
    use testjig::qos::virtio::{PciTransport, Virtio};

    let function = Pci::q35(vm).device(VIRTIO_PCI_SLOT);
    let device = Virtio9p::new(Virtio::new(PciTransport::modern(&function)));
    let client = up(&device, Layout::Split);
    for (kind, body) in changes() {
        assert_eq!(client.request(kind, &body), Err(Errno::EROFS), "{kind:?}");
    }
    let write = Client::write_body(ROOT, 0, b"no");
    assert_eq!(client.request(Kind::TWRITE, &write), Err(Errno::EROFS));
    works(&client);
}

/// Names of new files that are none are refused before anything else.
#[testjig::test(on = Modern<Virtio9p>)]
fn names_that_are_none_are_refused(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    for name in ["", ".", "..", "a/b"] {
        let body = Body::new().u32(ROOT).text(name).u32(0o755).u32(0);
        let error = client.request(Kind::TMKDIR, &body).expect_err(name);
        assert_ne!(error, Errno::EROFS, "{name:?}");
        let body = Body::new().u32(ROOT).text(name).u32(0);
        assert!(client.request(Kind::TUNLINKAT, &body).is_err(), "{name:?}");
    }
    works(&client);
}

/// Kinds of messages that there are not are answered with that, and so are replies.
#[testjig::test(on = Modern<Virtio9p>)]
fn unknown_kinds_are_refused(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    for kind in [0, 1, 5, 7, 11, 13, 60, 98, 106, 127, 128, 200, 254] {
        let error = client.request(Kind(kind), &Body::new().u32(ROOT));
        assert_eq!(error, Err(Errno::EOPNOTSUPP), "{kind}");
    }
    works(&client);
}
