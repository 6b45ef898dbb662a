import FoundationEssentials
import Glibc
import Testing

@testable import Ledger

/// Where a test's ledger is: every test runs on both databases.
enum Place: String, CaseIterable, CustomTestStringConvertible {
    case sqlite, postgresql

    var testDescription: String { rawValue }

    /// Those that are installed here.
    static let all: [Place] = {
        guard !FileManager.default.fileExists(atPath: "/usr/lib/postgresql") else {
            return allCases
        }
        print("skipped on PostgreSQL: install the package `postgresql`")
        return [.sqlite]
    }()

    /// A new database: a file's path or an URL.
    func make() throws -> String {
        let name = "ratel_" + UUID().uuidString.lowercased().replacing("-", with: "_")
        switch self {
        case .sqlite: return "/tmp/\(name).sqlite"
        case .postgresql:
            let server = try #require(Server.url, "no PostgreSQL: \(Server.folder)")
            try PostgreSQLDatabase(url: server).execute("CREATE DATABASE \(name)")
            return server.replacing("/postgres?", with: "/\(name)?")
        }
    }

    static func remove(_ place: String) {
        for suffix in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: place + suffix)
        }
    }
}

/// The PostgreSQL of this run, which ends with it: `Tests/Support/postgresql.py`.
private enum Server {
    static let folder = "/tmp/ratel-pg-url-\(UUID().uuidString)"

    static let url: String? = {
        let script = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        guard unsafe mkdir(folder, 0o755) == 0,
            // The other end of its input is closed when this process is gone, however it ends.
            unsafe popen("python3 /\(script)/Support/postgresql.py serve \(folder)", "we") != nil
        else { return nil }
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // A database is made within seconds; a minute on a busy machine.
        for _ in 0..<1_200 {
            if let text = try? String(contentsOfFile: "\(folder)/url", encoding: .utf8) {
                return text
            }
            usleep(50_000)
        }
        return nil
    }()
}
