//! Numbers of files, and going from one to another (walk, clunk).

use super::*;

/// Every request on a number that no file has fails, and so does all that needs an open file on one that is not.
#[testjig::test(on = Modern<Virtio9p>)]
fn unknown_numbers_are_refused(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    let none = Body::new().u32(77);
    for (kind, body) in [
        (Kind::TCLUNK, none.clone()),
        (Kind::TGETATTR, none.clone().u64(0x7ff)),
        (Kind::TWALK, none.clone().u32(78).u16(0)),
        (Kind::TLOPEN, none.clone().u32(0)),
        (Kind::TREAD, none.clone().u64(0).u32(10)),
        (Kind::TWRITE, none.clone().u64(0).u32(1).u8(0)),
        (Kind::TREADDIR, none.clone().u64(0).u32(100)),
        (Kind::TSTATFS, none.clone()),
        (Kind::TREADLINK, none.clone()),
        (Kind::TFSYNC, none.clone().u32(0)),
        (Kind::TMKDIR, none.clone().text("new").u32(0o755).u32(0)),
        (
            Kind::TLCREATE,
            none.clone().text("new").u32(2).u32(0o644).u32(0),
        ),
        (Kind::TSYMLINK, none.clone().text("new").text("old").u32(0)),
        (Kind::TUNLINKAT, none.clone().text("old").u32(0)),
        (Kind::TREMOVE, none.clone()),
        (Kind::TXATTRWALK, none.clone().u32(78).text("user.x")),
    ] {
        let error = client.request(kind, &body);
        assert!(
            matches!(error, Err(Errno::ENOENT | Errno::EINVAL)),
            "{kind:?}: {error:?}"
        );
    }
    assert_eq!(client.read(ROOT, 0, 10), Err(Errno::EINVAL));
    is_no_directory(&client.readdir(ROOT, 0, 100));
    works(&client);
}

/// [clunk] A number is free when its file is forgotten, and only then.
#[testjig::test(on = Modern<Virtio9p>, vary(layout = LAYOUTS))]
fn a_number_is_free_when_its_file_is_forgotten(device: Modern<Virtio9p>, layout: Layout) {
    let client = up(&device, layout);
    assert_eq!(client.walk(ROOT, 1, &[]), Ok(vec![]));
    let qid = |fid| client.getattr(fid, 0x7ff).map(|file| file.qid);
    assert_eq!(qid(1), qid(ROOT));
    assert_eq!(client.walk(ROOT, 1, &[]), Err(Errno::EINVAL));
    assert_eq!(client.clunk(1), Ok(()));
    assert_eq!(client.clunk(1), Err(Errno::ENOENT));
    client.walk(ROOT, 1, &[]).expect("the number is free");
    client
        .walk(ROOT, u32::MAX - 1, &[])
        .expect("any number will do");
}

/// [walk] One request goes down sixteen directories at most.
#[testjig::test(on = Modern<Virtio9p>, needs(running))]
fn a_walk_goes_sixteen_deep(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    let names: Vec<String> = (0..17).map(|depth| format!("WALK{depth}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let met = client.walk(ROOT, 1, &names[..16]).expect("they are there");
    assert_eq!(met.len(), 16);
    assert!(met.iter().all(|qid| qid.is_directory()));
    let mut paths: Vec<u64> = met.iter().map(|qid| qid.path).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), 16, "each is another");
    assert_eq!(client.getattr(1, 0x7ff).map(|last| last.qid), Ok(met[15]));
    assert_eq!(client.walk(ROOT, 2, &names), Err(Errno::EINVAL));
}

/// [walk] A walk that ends half-way tells how far it came, and gives no number; one that does not come anywhere fails.
#[testjig::test(on = Modern<Virtio9p>, needs(running))]
fn a_walk_tells_how_far_it_came(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    let met = client.walk(ROOT, 1, &["WALK0", "WALK1", "nothing", "WALK3"]);
    assert_eq!(met.map(|met| met.len()), Ok(2));
    assert_eq!(client.clunk(1), Err(Errno::ENOENT));
    for name in ["nothing", "WALK1", "walk0", "WALK0/WALK1"] {
        let error = client.walk(ROOT, 1, &[name]);
        assert_eq!(error, Err(Errno::ENOENT), "{name}");
    }
}

/// [walk] A walk to one's own number goes there; a failed one stays.
#[testjig::test(on = Modern<Virtio9p>, needs(running))]
fn a_walk_may_keep_its_number(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    client.walk(ROOT, 1, &[]).expect("the root is there");
    let met = client.walk(1, 1, &["WALK0"]).expect("it is there");
    let qid = |fid| client.getattr(fid, 0x7ff).map(|file| file.qid);
    assert_eq!(qid(1), Ok(met[0]));
    assert_eq!(client.walk(1, 1, &["nothing"]), Err(Errno::ENOENT));
    assert_eq!(qid(1), Ok(met[0]));
}

/// [walk] Nothing is above the root, and names that are none are not found.
#[testjig::test(on = Modern<Virtio9p>)]
fn nothing_is_above_the_root(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    let root = client.getattr(ROOT, 0x7ff).expect("the root is there").qid;
    assert_eq!(client.walk(ROOT, 1, &[".."]), Ok(vec![root]));
    assert_eq!(client.walk(ROOT, 2, &["..", ".."]), Ok(vec![root; 2]));
    for name in ["", "/", "a/b", "../x", "\0", "/etc"] {
        let error = client.walk(ROOT, 3, &[name]);
        assert_eq!(error, Err(Errno::ENOENT), "{name:?}");
    }
    works(&client);
}
