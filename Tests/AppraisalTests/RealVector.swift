import FoundationEssentials
import Keys
import RATS
import Testing

@testable import Appraisal

/// Evidence of a real machine with what is known about it, from the shared vectors.
struct RealVector {
    let name: String
    let folder: String
    let description: JSONValue

    func file(_ name: String) -> [UInt8]? { TestData.read(folder + "/" + name) }

    /// Every vector of a kind on which sound verifiers agree; none, and a word, if absent.
    static func all(_ kind: String) throws -> [RealVector] {
        let root = TestData.shared + "/vectors/" + kind
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: root) else {
            print("skipped: \(root) is absent")
            return []
        }
        return try names.sorted().map { name in
            let bytes = try #require(TestData.read("\(root)/\(name)/vector.json"))
            return RealVector(
                name: name,
                folder: "\(root)/\(name)",
                description: try #require(JSONParser.parse(bytes))
            )
        }
        .filter { ($0.description["contested"] ?? .null) == .null }
    }

    var isGood: Bool { description["expect"]?.text == "verified" }

    /// Whether something is missing that no public source offers.
    var hasGap: Bool { description["collateral_gaps"]?.items?.isEmpty == false }

    func verifyAt() throws -> Int64 { try RealVector.time(description["verify_at"]) }

    /// First and last second at which everything is valid.
    func window() throws -> (from: Int64, to: Int64) {
        let window = try #require(description["window"])
        return (try RealVector.time(window["from"]), try RealVector.time(window["to"]))
    }

    private static func time(_ value: JSONValue?) throws -> Int64 {
        Int64(try Date(#require(value?.text), strategy: .iso8601).timeIntervalSince1970)
    }

    /// Compares each claim that both sides name; returns how many those were.
    func compare(_ claims: Claims) -> Int {
        var compared = 0
        func walk(_ prefix: String, _ value: JSONValue) {
            for member in value.members ?? [] {
                let name = prefix + member.name
                if member.value.members != nil {
                    walk(name + ".", member.value)
                } else if member.value == .null {
                    #expect(claims[name] == nil, "\(self.name): \(name)")
                } else if let found = claims[name] {
                    #expect(found.json == member.value, "\(self.name): \(name)")
                    compared += 1
                }
            }
        }
        walk("", description["claims"] ?? .null)
        return compared
    }
}
