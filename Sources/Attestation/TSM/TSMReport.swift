internal import Keys
internal import RATS

/// Reports through configfs-tsm: Linux, Documentation/ABI/testing/configfs-tsm-report.
///
/// Each report has an entry of its own, so that nobody else should write to it; whether somebody
/// did shows in `generation`, which counts the writes.
struct TSMReport {
    /// What the kernel gave.
    struct Blobs: Equatable {
        /// A quote of TDX, or a report of SEV-SNP.
        let out: [UInt8]
        /// The certificates that the host has for it; empty if it has none.
        let auxiliary: [UInt8]
    }

    /// Where the entries are made.
    let folder: String

    /// Bytes of a blob: what the kernel's own limit for a TDX quote is, 128 KiB.
    static let maximumBlob = 128 * 1024
    /// How often somebody else's write may spoil a report before that is an error.
    static let maximumConflicts = 5
    /// How long an interface that is busy is asked again: half of an exchange's 10 s, since a
    /// quote comes after.
    static let maximumWait: Duration = .seconds(5)

    /// The name of the module that makes the reports here, such as `tdx_guest`.
    func provider() throws(HostError) -> String {
        let entry = try makeEntry()
        defer { HostFile.removeDirectory(entry) }
        return try word(entry + "/provider")
    }

    /// A report over 64 bytes by `provider`; another one refuses.
    ///
    /// With `usesPrivilege`, the report is asked for at the least privilege level that the kernel
    /// allows, the guest's own (VMPL of SEV-SNP).
    func make(
        _ reportData: [UInt8], provider: String, format: EvidenceFormat, usesPrivilege: Bool
    ) throws(Refusal) -> Blobs {
        precondition(reportData.count == 64, "report_data has 64 bytes")
        let outcome: Outcome
        do throws(HostError) {
            outcome = try attempts(reportData, provider, usesPrivilege)
        } catch {
            throw error.refusal(format)
        }
        switch outcome {
        case .made(let blobs) where !blobs.out.isEmpty:
            return blobs
        case .made:
            throw TSMReport.refusal(
                format, "outblob", "a report", "an empty file",
                "look at the host's quoting service: the kernel got nothing from it")
        case .conflict:
            throw TSMReport.refusal(
                format, "generation", "no writer but this process",
                "another, \(TSMReport.maximumConflicts) times",
                "find what else writes to entries named ratel-*")
        case .another(let found):
            throw TSMReport.refusal(
                format, "provider", provider, found, "choose another --attester, or auto")
        }
    }

    private enum Outcome {
        case made(Blobs)
        /// Somebody else wrote to the entry each time.
        case conflict
        /// Another module makes the reports here.
        case another(String)
    }

    private func attempts(
        _ reportData: [UInt8], _ provider: String, _ usesPrivilege: Bool
    ) throws(HostError) -> Outcome {
        let entry = try makeEntry()
        defer { HostFile.removeDirectory(entry) }
        let found = try word(entry + "/provider")
        guard found == provider else { return .another(found) }
        for _ in 0..<TSMReport.maximumConflicts {
            if let blobs = try attempt(entry, reportData, usesPrivilege) { return .made(blobs) }
        }
        return .conflict
    }

    private static func refusal(
        _ format: EvidenceFormat, _ field: String, _ expected: String, _ got: String,
        _ remedy: String
    ) -> Refusal {
        Refusal(
            "\(format.rawValue).tsm.\(field)", .attestation, kind: format.rawValue, field: field,
            expected: expected, got: got, remedy: remedy)
    }

    /// One report; nothing if somebody else wrote to the entry meanwhile.
    private func attempt(
        _ entry: String, _ reportData: [UInt8], _ usesPrivilege: Bool
    ) throws(HostError) -> Blobs? {
        let before = try generation(entry)
        var writes: UInt64 = 0
        if usesPrivilege {
            let floor = try word(entry + "/privlevel_floor")
            try patiently { () throws(HostError) in
                try HostFile.writeAll(entry + "/privlevel", Array(floor.utf8))
            }
            writes += 1
        }
        try patiently { () throws(HostError) in
            try HostFile.writeAll(entry + "/inblob", reportData)
        }
        writes += 1
        let out = try patiently { () throws(HostError) in
            try HostFile.readAll(entry + "/outblob", limit: TSMReport.maximumBlob)
        }
        let path = entry + "/auxblob"
        let auxiliary =
            HostFile.exists(path)
            ? try patiently { () throws(HostError) in
                try HostFile.readAll(path, limit: TSMReport.maximumBlob)
            } : []
        guard try generation(entry) == before &+ writes else { return nil }
        return Blobs(out: out, auxiliary: auxiliary)
    }

    private func makeEntry() throws(HostError) -> String {
        // 64 random bits: two that meet would be a fault of the generator.
        let entry = folder + "/ratel-" + Hex.encode(SecureRandom.bytes(8))
        try HostFile.makeDirectory(entry)
        return entry
    }

    private func generation(_ entry: String) throws(HostError) -> UInt64 {
        let path = entry + "/generation"
        guard let number = UInt64(try word(path)) else {
            throw HostError(action: "read \(path)", code: HostError.invalid)
        }
        return number
    }

    /// The text of an attribute, without the line's end.
    private func word(_ path: String) throws(HostError) -> String {
        // 4 KiB: a page, more than any text attribute of configfs can hold.
        let bytes = try HostFile.readAll(path, limit: 4_096)
        let text = String(decoding: bytes.filter { $0 > 0x20 && $0 < 0x7F }, as: UTF8.self)
        guard !text.isEmpty else {
            throw HostError(action: "read \(path)", code: HostError.invalid)
        }
        return text
    }

    /// Tries again, at growing distances, while the interface says that it is busy.
    private func patiently<Value>(
        _ work: () throws(HostError) -> Value
    ) throws(HostError) -> Value {
        let end = ContinuousClock.now + TSMReport.maximumWait
        var pause: UInt32 = 5
        while true {
            do throws(HostError) {
                return try work()
            } catch {
                guard error.isPassing, ContinuousClock.now < end else { throw error }
                HostFile.rest(milliseconds: pause)
                // Half a second: TDX quotes through the kernel take up to one.
                pause = min(pause * 2, 500)
            }
        }
    }
}
