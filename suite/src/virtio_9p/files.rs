//! Files (lopen, read, write, getattr, statfs).

use super::*;

/// Opens this file as number 1.
#[track_caller]
fn open(client: &Client, name: &str, flags: u32) -> Result<(Qid, u32), Errno> {
    client.walk(ROOT, 1, &[name]).expect("it is there");
    client.lopen(1, flags)
}

/// [lopen] A file is opened as what it was found, for as many bytes as a message has room for; and once.
#[testjig::test(on = Modern<Virtio9p>, needs(running), vary(layout = LAYOUTS))]
fn a_file_is_opened_once(device: Modern<Virtio9p>, layout: Layout) {
    let client = up(&device, layout);
    let (qid, unit) = open(&client, "LOPEN", lopen::RDWR).expect("it can be opened");
    assert_eq!(client.getattr(1, 0x7ff).map(|file| file.qid), Ok(qid));
    assert!(unit <= MSIZE, "{unit}");
    assert_eq!(client.lopen(1, lopen::RDONLY), Err(Errno::EINVAL));
    // Another number of the same file is another matter.
    client.walk(ROOT, 2, &["LOPEN"]).expect("it is there");
    assert_eq!(client.lopen(2, lopen::RDONLY).map(|open| open.0), Ok(qid));
}

/// [write] As many bytes as a message has room for are written at once, in whatever pieces the request is.
#[testjig::test(on = Modern<Virtio9p>, needs(running), vary(layout = LAYOUTS))]
fn a_request_may_be_in_pieces(device: Modern<Virtio9p>, vm: &Vm, layout: Layout) {
    let client = up(&device, layout);
    open(&client, "WRITE", lopen::WRONLY).expect("it can be opened");
    let most = MSIZE - 24;
    assert_eq!(client.write(1, 0, &vec![7; most as usize]), Ok(most));
    let message = Client::write_body(1, 10, &[1; 100]).message(Kind::TWRITE, 3);
    let alloc = GuestAlloc::of(vm);
    let (request, reply) = (alloc.copy_of(&message), alloc.buf(64));
    let cut = |from: u64, to: u64| Segment::readable(request.addr() + from, (to - from) as u32);
    let room = |from: u64, to: u64| Segment::writable(reply.addr() + from, (to - from) as u32);
    let pieces = [
        cut(0, 1),
        cut(1, 9),
        cut(9, 40),
        cut(40, request.len()),
        room(0, 3),
        room(3, 64),
    ];
    assert_eq!(client.queue().run(&pieces), 11);
    let expected = Body::new().u32(100).message(Kind::TWRITE.reply(), 3);
    assert_eq!(reply.read_vec(0, 11), expected);
}

/// [write] Nothing may be written, too.
#[testjig::test(on = Modern<Virtio9p>, needs(running))]
fn nothing_is_written(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    open(&client, "WRITE", lopen::WRONLY).expect("it can be opened");
    assert_eq!(client.write(1, 0, &[]), Ok(0));
}

/// [write, read] A file that has nothing to read or does not take anything says so.
#[testjig::test(on = Modern<Virtio9p>, needs(running))]
fn what_a_file_can_not_do_it_refuses(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    open(&client, "LOPEN", lopen::RDWR).expect("it can be opened");
    assert_eq!(client.write(1, 0, b"no"), Err(Errno::EPERM));
    assert_eq!(client.read(1, 0, 10), Err(Errno::EPERM));
    works(&client);
}

/// [getattr] The server says which attributes it has; those that were not asked for need not be there.
#[testjig::test(on = Modern<Virtio9p>, needs(running))]
fn attributes_are_those_asked_for(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    client.walk(ROOT, 1, &["WALK0"]).expect("it is there");
    let all = client.getattr(1, 0x7ff).expect("it is there");
    assert_eq!(all.mode & 0o170_000, 0o040_000);
    assert_eq!(all.mode & 0o500, 0o500, "its owner may look into it");
    assert_eq!((all.uid, all.gid), (0, 0));
    assert!(all.nlink >= 1);
    let mode = client.getattr(1, 1).expect("it is there");
    assert_eq!(mode.valid & 1, 1);
    assert_eq!((mode.qid, mode.mode), (all.qid, all.mode));
}

/// [statfs] The file system has sizes.
#[testjig::test(on = Modern<Virtio9p>)]
fn the_file_system_has_sizes(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    let reply = client.request(Kind::TSTATFS, &Body::new().u32(ROOT));
    let reply = reply.expect("the root is there");
    assert_eq!(reply.len(), 4 + 4 + 6 * 8 + 4);
    // The longest name.
    assert!(Parser::new(&reply[reply.len() - 4..]).u32() > 0);
}
