internal import Appraisal
internal import FoundationEssentials
internal import Keys
internal import Loop
internal import RATS

/// Collateral on disk, so that a restart needs no network: one CBOR file for each need, replaced
/// at once. What is read back is checked again like anything from a source.
///
/// `[1, fetched (Unix time), source, [[media type, bytes] …]]`
struct CollateralCache: Sendable {
    let path: String

    /// Bytes of one file: the five parts of Intel's collateral at their most.
    private static let maximumFile = 2 << 20

    /// Makes the folder; throws when it cannot be used.
    init(path: String) throws(ConfigurationError) {
        self.path = path
        guard System.makeDirectories(path) else {
            throw ConfigurationError("--collateral-cache \(path): cannot be made")
        }
    }

    func read(_ need: CollateralNeed) -> (raw: RawCollateral, source: String)? {
        guard
            let bytes = System.readFile(
                path + "/" + need.fileName + ".cbor", limit: CollateralCache.maximumFile),
            let value = try? CBORDecoder.decode(bytes), let items = value.items, items.count == 4,
            items[0].number == 1, let source = items[2].textString, let pairs = items[3].items
        else { return nil }
        var endorsements: [Endorsement] = []
        for pair in pairs {
            guard let parts = pair.items, parts.count == 2, let type = parts[0].textString,
                let bytes = parts[1].byteString
            else { return nil }
            endorsements.append(Endorsement(mediaType: type, bytes: bytes))
        }
        return (RawCollateral(endorsements: endorsements), source)
    }

    /// False when the disk does not take it; the store then goes on in memory.
    func write(_ item: CheckedCollateral, source: String, now: Int64) -> Bool {
        let value = CBORValue.array([
            .unsigned(1), .unsigned(UInt64(max(0, now))), .text(source),
            .array(
                item.endorsements.map { .array([.text($0.mediaType), .bytes($0.bytes)]) }),
        ])
        return System.replaceFile(
            path + "/" + item.need.fileName + ".cbor", value.encoded())
    }

    /// The highest evaluation numbers ever seen. A file that is there and cannot be read is an
    /// error: without it older collateral would pass again.
    func readEvaluations() throws(ConfigurationError) -> [String: Int] {
        let file = path + "/evaluations.json"
        guard System.exists(file) else { return [:] }
        guard let bytes = System.readFile(file, limit: CollateralCache.maximumFile),
            let members = JSONParser.parse(bytes)?.members
        else {
            throw ConfigurationError(
                "\(file): unreadable; it holds the highest evaluation numbers seen. Restore it, or "
                    + "remove it knowing that older collateral is then accepted once more")
        }
        var found: [String: Int] = [:]
        for member in members {
            guard let number = member.value.integer else {
                throw ConfigurationError("\(file): \(member.name) is not a number")
            }
            found[member.name] = number
        }
        return found
    }

    func writeEvaluations(_ evaluations: [String: Int]) -> Bool {
        let members = evaluations.sorted { $0.key < $1.key }.map {
            ($0.key, JSONValue.integer($0.value))
        }
        return System.replaceFile(
            path + "/evaluations.json",
            Array((JSONValue.members(members).serialised(pretty: true) + "\n").utf8))
    }
}
