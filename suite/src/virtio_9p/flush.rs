//! Requests that nobody waits for any more (flush). The file FLUSH never takes a byte that is not zero, and tries again for ever.

use super::*;

/// Opens that file as number 1.
#[track_caller]
fn open(client: &Client) {
    client.walk(ROOT, 1, &["FLUSH"]).expect("it is there");
    client.lopen(1, lopen::WRONLY).expect("it can be opened");
}

/// [flush] A request under way is ended by a flush, which is answered; it itself is not: its buffer returns with nothing in it.
#[testjig::test(on = Modern<Virtio9p>, needs(running), vary(layout = LAYOUTS))]
fn a_request_under_way_is_flushed(device: Modern<Virtio9p>, layout: Layout) {
    let client = up(&device, layout);
    open(&client);
    let write = client.begin(Kind::TWRITE, &Client::write_body(1, 0, &[1]));
    let flush = client.begin(Kind::TFLUSH, &Body::new().u16(write.tag()));
    let all = [client.queue().wait(), client.queue().wait()];
    assert_eq!(all.map(|used| used.id), [write.id(), flush.id()]);
    assert_eq!(all.map(|used| used.len), [0, 7]);
    assert_eq!(write.reply().read_vec(0, 16), [0xee; 16]);
    let expected = Body::new().message(Kind::TFLUSH.reply(), flush.tag());
    assert_eq!(flush.reply().read_vec(0, 7), expected);
    works(&client);
}

/// [flush] A request that is done is answered, and a flush of it too.
#[testjig::test(on = Modern<Virtio9p>, needs(running), vary(layout = LAYOUTS))]
fn a_request_that_is_done_is_answered(device: Modern<Virtio9p>, layout: Layout) {
    let client = up(&device, layout);
    open(&client);
    let write = client.begin(Kind::TWRITE, &Client::write_body(1, 0, &[0]));
    let answered = client.finish(&write);
    assert_eq!(answered, Ok(1_u32.to_le_bytes().to_vec()));
    let flush = Body::new().u16(write.tag());
    assert_eq!(client.request(Kind::TFLUSH, &flush), Ok(vec![]));
}

/// [flush] A flush of nothing, and of itself, is answered.
#[testjig::test(on = Modern<Virtio9p>)]
fn nothing_is_flushed(device: Modern<Virtio9p>) {
    let client = up(&device, Layout::Split);
    for tag in [0, 0x7777, u16::MAX] {
        assert_eq!(
            client.request(Kind::TFLUSH, &Body::new().u16(tag)),
            Ok(vec![])
        );
    }
    let probe = client.begin(Kind::TFLUSH, &Body::new().u16(0x5555));
    let own = probe.tag() + 1;
    assert_eq!(client.finish(&probe), Ok(vec![]));
    let itself = client.begin(Kind::TFLUSH, &Body::new().u16(own));
    assert_eq!(itself.tag(), own);
    assert_eq!(client.finish(&itself), Ok(vec![]));
    works(&client);
}
