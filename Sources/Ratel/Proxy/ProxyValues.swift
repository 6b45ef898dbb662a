internal import HTTP
internal import Loop
internal import RATS

/// Values that a proxy's file has and a policy has not.
extension PolicyNode {
    /// A list of texts, at least one, each once.
    func texts(_ read: (PolicyNode) throws(Refusal) -> String) throws(Refusal) -> [String] {
        var found: [String] = []
        for item in try items() {
            let text = try read(item)
            guard !found.contains(text) else {
                throw item.refusal(code("value.duplicate"), expected: "each once", got: text)
            }
            found.append(text)
        }
        guard !found.isEmpty else {
            throw refusal(code("value.refused"), expected: "at least one", got: "an empty list")
        }
        return found
    }

    /// `HOST:PORT`, `[v6]:PORT` or `unix:/path`.
    func address() throws(Refusal) -> Address {
        let text = try text()
        do throws(ConfigurationError) {
            return try SettingValue.address(text, setting: "address")
        } catch {
            throw refusal(
                code("value.refused"), expected: "HOST:PORT or unix:/path of at most 107 bytes",
                got: text)
        }
    }

    /// `250ms`, `30s`, `10m`, within bounds in milliseconds.
    func milliseconds(_ range: ClosedRange<UInt64>) throws(Refusal) -> UInt64 {
        let text = try text()
        if let found = try? SettingValue.duration(text, setting: path), range.contains(found) {
            return found
        }
        throw refusal(
            code("value.refused"),
            expected: "a duration such as 250ms, 30s or 10m, "
                + "from \(range.lowerBound) ms to \(range.upperBound) ms", got: text)
    }

    /// Bytes: a number, alone or with `KiB`, `MiB` or `GiB` behind it.
    func byteCount(_ range: ClosedRange<UInt64>) throws(Refusal) -> UInt64 {
        let text = try text()
        for (unit, shift) in [("KiB", UInt64(10)), ("MiB", 20), ("GiB", 30), ("", 0)]
        where text.hasSuffix(unit) {
            guard let count = UInt64(text.dropLast(unit.count)), count <= UInt64.max >> shift,
                range.contains(count << shift)
            else { break }
            return count << shift
        }
        throw refusal(
            code("value.refused"),
            expected: "bytes such as 512KiB or 10MiB, "
                + "from \(range.lowerBound) to \(range.upperBound)", got: text)
    }
}
