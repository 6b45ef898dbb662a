import FoundationEssentials
import Keys

/// Where test data lie, and how to read them.
enum TestData {
    static let package = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()

    static var shared: String {
        ProcessInfo.processInfo.environment["RATEL_SHARED"] ?? package + "/../shared"
    }

    static func read(_ path: String) -> [UInt8]? {
        FileManager.default.contents(atPath: path).map { Array($0) }
    }

    static func hex(_ value: JSONValue, _ name: String) -> [UInt8] {
        value[name]?.text.flatMap(Hex.decode) ?? []
    }
}
