import SystemPackage

/// What has to be written to a register so that one field changes and no other does.
struct RegisterWrite: Equatable {
    /// Bits that are written as they are read; where there are none, nothing is read.
    var kept: UInt64
    /// The others.
    var bits: UInt64

    func word(_ present: UInt64) -> UInt64 { present & kept | bits }

    /// - Parameters:
    ///   - value: fits the field.
    ///   - wasWritten: a write-once part of the register has had its write.
    ///   - allowsReadEffects: the register may be read though that has an effect.
    /// - Throws: EPERM where a write can't leave another field as it is; EACCES where the register would
    ///   have to be read.
    static func plan(
        _ value: UInt64, to place: Int, of register: RegisterTable.Item,
        _ fields: [RegisterTable.Field], wasWritten: Bool, allowsReadEffects: Bool,
        name: (RegisterTable.Field) -> String
    ) throws(Refusal) -> RegisterWrite {
        let field = fields[place]
        if field.kind.isOnce && wasWritten { throw writtenOnce }
        let reset = register.knownReset ?? 0
        var taken = field.bits
        var bits = value << UInt64(field.lowest)
        for (index, other) in fields.enumerated() where index != place && other.kind.writes {
            let own = other.bits & ~taken
            guard own != 0 else { continue }
            guard let neutral = other.write.neutral else {
                throw Refusal(
                    .notPermitted,
                    "any write of the register is a \(other.write.rawValue) of \(name(other)): "
                        + "write value")
            }
            if other.kind.isOnce {
                guard wasWritten else {
                    throw Refusal(
                        .notPermitted,
                        "it would be the one write that \(name(other)) takes: write value")
                }
                // Whatever is written has no effect any more.
                taken |= own
                continue
            }
            switch neutral {
            case .zeros: taken |= own
            case .ones: (taken, bits) = (taken | own, bits | own)
            case .kept where !other.kind.reads: (taken, bits) = (taken | own, bits | reset & own)
            case .kept: break
            }
        }
        let free = register.bits & ~fields.reduce(0) { $0 | $1.bits }
        if free != 0 && register.access.writes {
            switch register.write.neutral {
            case .kept: break
            case .zeros: taken |= free
            case .ones: (taken, bits) = (taken | free, bits | free)
            case nil:
                throw Refusal(
                    .notPermitted,
                    "any write of the register is a \(register.write.rawValue) of its bits that are "
                        + "in no field: write value")
            }
        }
        var kept = register.bits & ~taken
        if !register.isReadable(fields) {
            bits |= reset & kept
            kept = 0
        }
        if kept != 0 && register.hasReadEffect(fields) && !allowsReadEffects {
            throw Refusal(
                .permissionDenied,
                "the other bits would have to be read, which has an effect: write value, or mount "
                    + "with read_effects")
        }
        return RegisterWrite(kept: kept, bits: bits)
    }

    static let writtenOnce = Refusal(
        .notPermitted, "it can be written once, and was; a reset of the device allows it again")
}

extension RegisterTable.Item {
    func isReadable(_ fields: some Sequence<RegisterTable.Field>) -> Bool {
        access.reads || fields.contains { $0.kind.reads }
    }

    func isWritable(_ fields: some Sequence<RegisterTable.Field>) -> Bool {
        access.writes || fields.contains { $0.kind.writes }
    }

    /// A read of it changes something: every read is one of the whole register.
    func hasReadEffect(_ fields: some Sequence<RegisterTable.Field>) -> Bool {
        readHasEffect || fields.contains(where: \.readHasEffect)
    }

    func isOnce(_ fields: some Sequence<RegisterTable.Field>) -> Bool {
        access.isOnce || fields.contains { $0.kind.isOnce }
    }
}
