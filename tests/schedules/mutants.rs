//! Mistakes that the schedules must find.

/// A text of a source that is replaced by another one.
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    pub(crate) old: &'static str,
    pub(crate) new: &'static str,
}

macro_rules! mutants {
    ($($(#[doc = $doc:literal])* $name:ident, $source:literal: $old:literal => $new:literal;)*) => {
        pub(crate) const MUTANTS: &[Mutant] = &[
            $(Mutant { name: stringify!($name), source: $source, old: $old, new: $new },)*
        ];
    };
}

mutants! {
    /// Looks for room first, and listens then.
    gate_listens_too_late, "gate": "freed.await;" => "drop(freed); self.gate.freed.notified().await;";
    gate_keeps_a_place, "gate": "shares.give_back(self.number);" => "";
    /// Looks and takes, but not at once.
    gate_takes_what_is_gone, "gate": "shares.take(self.number);" => "drop(shares); self.gate.lock().take(self.number);";
    gate_tells_before_it_gives, "gate":
        "shares.give_back(self.number);\n        let short = shares.is_short();\n        drop(shares);\n        if short {\n            self.gate.freed.notify_waiters();\n        }"
        => "let short = shares.is_short();\n        drop(shares);\n        if short {\n            self.gate.freed.notify_waiters();\n        }\n        self.gate.lock().give_back(self.number);";
    gate_leaves_in_silence, "gate":
        "self.gate.lock().leave(self.number);\n        self.gate.freed.notify_waiters();" => "self.gate.lock().leave(self.number);";

    origin_keeps_a_place, "sender_origin": "self.origin.lock().in_flight.give_back(self.number);" => "";
    origin_begins_what_is_taken, "sender_origin":
        "inner.in_flight.take(self.number);" => "drop(inner); self.origin.lock().in_flight.take(self.number);";
    origin_begins_in_a_pause, "sender_origin": "|| inner.paused(now).is_some()" => "";
    origin_probes_with_all, "sender_origin": "self.allowance = 1;" => "";
    /// What came in between has widened it.
    origin_begins_with_what_it_was_allowed, "sender_origin": "inner.narrow(now);\n        let room" => "let room";
    origin_loses_failures, "sender_origin":
        "let failed = inner.circuit.failed(now, base);"
        => "let mut circuit = std::mem::take(&mut inner.circuit);\n        drop(inner);\n        let failed = circuit.failed(now, base);\n        inner = self.lock();\n        inner.circuit = circuit;";
    circuit_opens_while_it_is_open, "circuit": "return Failed::Nothing;\n        }\n        self.row" => "}\n        self.row";
    circuit_is_never_half_open, "circuit": "!self.is_closed() && self.open_until(now).is_none()" => "false";
    circuit_closes_while_it_is_open, "circuit": "return false;\n        }\n        let closes" => "}\n        let closes";
    circuit_needs_more_than_one_probe, "circuit": "self.pauses > 0 || self.row" => "self.row";

    /// Looks and takes, but not at once.
    stops_probe_twice, "sender_origin":
        "self.lock().stops.leave(key, subscription, now)"
        => "let mut stops = std::mem::take(&mut self.lock().stops);\n        let leave = stops.leave(key, subscription, now);\n        self.lock().stops = stops;\n        leave";
    stops_forget_a_block, "sender_origin":
        "(inner.stops.blocked(key, subscription, now), Halt::Blocked)"
        => "let mut stops = std::mem::take(&mut inner.stops);\n            drop(inner);\n            let turn = stops.blocked(key, subscription, now);\n            inner = self.lock();\n            inner.stops = stops;\n            (turn, Halt::Blocked)";
    stops_keep_no_probe, "stops": "halt.probe = Some((subscription, now));" => "";
    stops_do_not_look_for_a_probe, "stops": "if now >= from && !halt.is_probing(now)" => "if now >= from";
    stops_keep_a_lost_probe, "stops": "|(_, since)| now < since + PROBE" => "|_| true";
    stops_keep_a_refused_probe, "stops": "self.probe = None;" => "";
    stops_listen_to_stragglers, "stops":
        "if !self.is_probe(subscription) {\n            return None;\n        }\n        self.probes" => "self.probes";

    /// Looks and takes, but not at once.
    budget_spends_twice, "budget": "inner.free.take(1);" => "drop(inner); inner = self.lock(); inner.free.take(1);";
    budget_spends_twice_what_was_earned, "budget":
        "inner.present -= 1.0 - inner.earlier;" => "drop(inner); inner = self.lock(); inner.present -= 1.0 - inner.earlier;";
    budget_loses_what_was_earned, "budget":
        "self.lock().add(self.share, now);" => "let present = self.lock().present; self.lock().present = present + self.share;";
    budget_gives_nothing_back, "budget": "self.lock().add(1.0, now);" => "";
    budget_books_a_time_twice, "budget": "inner.next = due;" => "drop(inner); self.lock().next = due;";

    meter_keeps_a_token, "sender_origin": "meter.give_back();" => "";
    meter_spends_twice, "meter": "inner.bucket.take(1);" => "drop(inner); let mut inner = self.lock(); inner.bucket.take(1);";

    pool_counts_no_stream, "pool_origin": "connection.used += 1;" => "";
    pool_keeps_a_stream, "pool_origin": "connection.used -= 1;" => "";
    /// Looks for a stream first, and stands in line then.
    pool_queues_too_late, "pool_origin":
        "slots.waiters.push_back(waiter);" => "drop(slots); self.slots().waiters.push_back(waiter);";
    /// Who gave up keeps what it was handed at that moment.
    pool_loses_a_lease, "pool_origin": "drop(waiter.send(Ok(lease)));" => "std::mem::forget(waiter.send(Ok(lease)));";
    pool_serves_nobody_at_return, "pool_origin":
        "return;\n            }\n        }\n        self.serve();\n        self.open_more();" => "return;\n            }\n        }";
    pool_does_not_replace, "pool_origin":
        "retain(|connection| connection.id != id);\n        self.open_more();" => "retain(|connection| connection.id != id);";
    pool_lets_them_wait_for_nothing, "pool_origin":
        "let _ = waiter.send(Err(error.clone()));" => "std::mem::forget(waiter);";
    pool_miscounts_attempts, "pool_origin":
        "slots.opening -= 1;\n            slots.forget_the_closed();" => "slots.forget_the_closed();";
    pool_opens_too_many, "pool_origin": "self.opening += 1;" => "";
}
