//! One message by encryptor and payload size, beside the floor of its crypto library.

mod support {
    pub(crate) mod floor;
}

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use webpush_channels::engine::encryption::{AwsLc, Encryptor, Plaintext, RustCrypto};
use webpush_channels::{AuthSecret, Padding, Payload, PublicKey, SubscriptionKeys};

use self::support::floor;

fn sizes() -> [usize; 3] {
    [100, 1024, Payload::MAX_LEN]
}

fn encrypt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encrypt");
    group.throughput(Throughput::Elements(1));
    for size in sizes() {
        let payload = vec![b'x'; size];
        let mut out = Vec::with_capacity(4096);
        group.bench_function(BenchmarkId::new("floor/aws-lc-rs", size), |bencher| {
            bencher.iter(|| floor::aws_lc(&payload, &mut out));
        });
        bench(&mut group, "aws-lc-rs", size, &AwsLc::new());
        group.bench_function(BenchmarkId::new("floor/rustcrypto", size), |bencher| {
            bencher.iter(|| floor::rustcrypto(&payload, &mut out));
        });
        bench(&mut group, "rustcrypto", size, &RustCrypto::new());
        #[cfg(feature = "ece")]
        bench(&mut group, "ece", size, &webpush_channels::engine::encryption::Ece::new());
    }
    group.finish();
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn bench(group: &mut Group<'_>, name: &str, size: usize, encryptor: &dyn Encryptor) {
    let to = SubscriptionKeys::new(
        PublicKey::from_bytes(&floor::P256DH).expect("a public key"),
        AuthSecret::from_bytes(floor::AUTH),
    );
    let size = size.min(encryptor.max_plaintext_len());
    let payload = Payload::new(vec![b'x'; size]).expect("fits");
    let plaintext = Plaintext::new(&payload, Padding::None, encryptor.max_plaintext_len()).expect("fits");
    let mut out = Vec::with_capacity(4096);
    group.bench_function(BenchmarkId::new(name, size), |bencher| {
        bencher.iter(|| encryptor.encrypt(&to, &plaintext, &mut out).expect("encrypts"));
    });
}

criterion_group!(benches, encrypt);
criterion_main!(benches);
