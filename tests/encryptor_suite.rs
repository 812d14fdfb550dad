//! The conformance suite of `Encryptor` on each implementation, and on doubles that are broken on
//! purpose: a suite that cannot fail proves nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support {
    pub(crate) mod encryptor_doubles;
    pub(crate) mod legacy;
    pub(crate) mod legacy_double;
}

use std::panic::{AssertUnwindSafe, catch_unwind};

use webpush_channels::encryptor_suite;
use webpush_channels::engine::encryption::Encryptor;
use webpush_channels::testing::encryptor_suite as suite;

use self::support::encryptor_doubles::{Double, Fault};
use self::support::legacy_double::{LegacyDouble, LegacyFault};

mod rustcrypto {
    use webpush_channels::engine::encryption::RustCrypto;

    super::encryptor_suite!(RustCrypto::new());
}

#[cfg(feature = "aws-lc-rs")]
mod aws_lc {
    use webpush_channels::engine::encryption::AwsLc;

    super::encryptor_suite!(AwsLc::new());
}

#[cfg(feature = "ece")]
mod ece {
    use webpush_channels::engine::encryption::Ece;

    super::encryptor_suite!(pads by its own rule: Ece::new());
}

#[cfg(feature = "ece")]
mod ece_aesgcm {
    use webpush_channels::engine::encryption::EceAesGcm;

    super::encryptor_suite!(pads by its own rule: EceAesGcm::new());
}

#[cfg(feature = "ece")]
mod legacy_behind_an_arc_of_dyn {
    use webpush_channels::engine::encryption::Encryption;

    super::encryptor_suite!(pads by its own rule: Encryption::legacy().unwrap());
}

mod fastest_behind_an_arc_of_dyn {
    use webpush_channels::engine::encryption::Encryption;

    super::encryptor_suite!(Encryption::fastest());
}

mod rustcrypto_behind_a_box_of_dyn {
    use webpush_channels::engine::encryption::{Encryptor, RustCrypto};

    super::encryptor_suite!(Box::new(RustCrypto::new()) as Box<dyn Encryptor>);
}

mod double_without_a_fault {
    use super::{Double, Fault};

    super::encryptor_suite!(Double::new(Fault::None));
}

mod legacy_double_without_a_fault {
    use super::{LegacyDouble, LegacyFault};

    super::encryptor_suite!(pads by its own rule: LegacyDouble(LegacyFault::None));
}

type Behaviour = fn(&dyn Encryptor);

#[test]
fn the_suite_notices_every_fault() {
    use suite::*;

    let table: [(Fault, Behaviour); 24] = [
        (Fault::AppendsToTheBuffer, a_batch_fills_every_lane),
        (Fault::AppendsToTheBuffer, what_was_in_the_buffer_is_gone),
        (Fault::BatchDropsTheLastLane, a_batch_fills_every_lane),
        (Fault::BatchSendsOneBodyToAll, a_batch_fills_every_lane),
        (Fault::BatchSharesOneKey, every_lane_has_its_own_key_and_salt),
        (Fault::ClaimsMoreThanFits, the_limit_is_usable),
        (Fault::ConstantKey, every_message_has_its_own_key_and_salt),
        (Fault::ConstantSalt, every_lane_has_its_own_key_and_salt),
        (Fault::ConstantSalt, every_message_has_its_own_key_and_salt),
        (Fault::CountingSalt, every_message_has_its_own_key_and_salt),
        (Fault::DelimiterOfAnEarlierRecord, a_receiver_reads_what_was_sent),
        (Fault::EmptyIsABackendError, an_empty_message_is_encrypted_or_refused),
        (Fault::ErrorLeavesTheBuffer, a_batch_refuses_too_much_in_every_lane),
        (Fault::ErrorLeavesTheBuffer, too_much_is_refused),
        (Fault::IgnoresItsLimit, too_much_is_refused),
        (Fault::IgnoresThePadding, the_body_has_the_padded_length),
        (Fault::KeysInTheWrongOrder, a_receiver_reads_what_was_sent),
        (Fault::PadsWithOnes, the_body_has_the_padded_length),
        (Fault::RecordSizeEqualsTheRecord, the_body_is_one_record),
        (Fault::RefusesItsLimit, the_limit_is_usable),
        (Fault::RemembersThePlaintext, secrets_stay_out_of_debug),
        (Fault::SeedsKeysPerThread, threads_share_no_key_and_no_salt),
        (Fault::SendsAZeroAuth, a_receiver_reads_what_was_sent),
        (Fault::WrongLimitInTheError, too_much_is_refused),
    ];
    for (fault, behaviour) in table {
        let double = Double::new(fault);
        let outcome = catch_unwind(AssertUnwindSafe(|| behaviour(&double)));
        assert!(outcome.is_err(), "not noticed: {fault:?}");
    }
}

#[test]
fn the_suite_notices_every_fault_in_the_legacy_coding() {
    use suite::*;

    let table: [(LegacyFault, Behaviour); 10] = [
        (LegacyFault::ConstantKey, every_lane_has_its_own_key_and_salt),
        (LegacyFault::ConstantKey, every_message_has_its_own_key_and_salt),
        (LegacyFault::ConstantSalt, every_lane_has_its_own_key_and_salt),
        (LegacyFault::ConstantSalt, threads_share_no_key_and_no_salt),
        (LegacyFault::FillsTheRecordSize, a_receiver_reads_what_was_sent),
        (LegacyFault::FillsTheRecordSize, the_body_is_one_record),
        (LegacyFault::PadsWithOnes, a_batch_fills_every_lane),
        (LegacyFault::PadsWithOnes, a_receiver_reads_what_was_sent),
        (LegacyFault::SaysTheOtherCoding, what_was_in_the_buffer_is_gone),
        (LegacyFault::SendsAnotherKey, the_limit_is_usable),
    ];
    for (fault, behaviour) in table {
        let outcome = catch_unwind(AssertUnwindSafe(|| behaviour(&LegacyDouble(fault))));
        assert!(outcome.is_err(), "not noticed: {fault:?}");
    }
}
