internal import Glibc
internal import Keys
internal import Loop
internal import Receipts

/// One period's export on disk: written beside its place, and moved there when it is whole.
struct ExportFolder {
    private let path: String
    private var files: [LedgerExport.File: ExportFile] = [:]

    /// Writes the first period that is over and was not written; nil where there is none. Periods
    /// without receipts have no folder.
    static func writeNext(
        of ledger: Ledger, into folder: String, now: Int64
    ) throws(LedgerError) -> LedgerExporter.Event? {
        guard let index = try ledger.nextExport(now: now) else { return nil }
        let path = "\(folder)/\(UTC.name(index * ledger.period))"
        if let root = try found(path, index, ledger) {
            // It was moved there, and then there was no time to note it.
            try ledger.note(export: root, period: index)
            return .wrote(folder: path, receipts: root.body["count"]?.integer ?? 0)
        }
        let temporary = "\(folder)/.\(UTC.name(index * ledger.period)).new"
        var export = try ExportFolder(temporary, in: folder)
        let root = try LedgerExport.write(period: index, of: ledger, now: now) {
            file, line throws(LedgerError) in
            try export.files[file]?.write(line)
        }
        try export.move(to: path, in: folder)
        try ledger.note(export: root, period: index)
        return .wrote(folder: path, receipts: root.body["count"]?.integer ?? 0)
    }

    // Another router's, or another ledger's, is never written over.
    private static func found(
        _ path: String, _ index: Int64, _ ledger: Ledger
    ) throws(LedgerError) -> SignedStatement? {
        guard System.exists(path) else { return nil }
        let bytes = System.readFile("\(path)/\(LedgerExport.File.root.rawValue)", limit: 1 << 20)
        let root = bytes.flatMap { bytes in
            try? SignedStatement(.export, reading: JSONParser.parse(bytes))
        }
        guard let root, Digest.sha256(root.key) == ledger.router,
            root.body["start_ms"]?.integer.map(Int64.init) == index * ledger.period
        else {
            throw LedgerError(
                .setting,
                "\(path): expected no folder, or this router's export; got another: "
                    + "give each router a folder of its own")
        }
        return root
    }

    private init(_ path: String, in folder: String) throws(LedgerError) {
        self.path = path
        guard System.makeDirectories(folder) else {
            throw ExportFile.failure("makes", folder)
        }
        // Readable for a group: whoever settles is another user.
        guard unsafe mkdir(path, 0o750) == 0 || errno == EEXIST else {
            throw ExportFile.failure("makes", path)
        }
        for file in LedgerExport.File.allCases {
            files[file] = try ExportFile("\(path)/\(file.rawValue)")
        }
    }

    private mutating func move(to place: String, in folder: String) throws(LedgerError) {
        for file in LedgerExport.File.allCases { try files[file]?.finish() }
        try ExportFolder.sync(path)
        guard unsafe rename(path, place) == 0 else { throw ExportFile.failure("moves to", place) }
        try ExportFolder.sync(folder)
    }

    // A name is on the disk when its folder is.
    private static func sync(_ folder: String) throws(LedgerError) {
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ExportFile.failure("opens", folder) }
        defer { _ = Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw ExportFile.failure("syncs", folder) }
    }
}

/// A file that grows by lines.
private final class ExportFile {
    private let path: String
    private let descriptor: Int32
    private var buffer: [UInt8] = []

    /// What is written at once: 20 receipts.
    private static let size = 64 << 10

    /// Makes the file, or empties what an earlier try left.
    init(_ path: String) throws(LedgerError) {
        self.path = path
        descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw ExportFile.failure("opens", path) }
    }

    deinit { if descriptor >= 0 { _ = Glibc.close(descriptor) } }

    func write(_ line: String) throws(LedgerError) {
        buffer += Array(line.utf8) + [UInt8(ascii: "\n")]
        if buffer.count >= ExportFile.size { try flush() }
    }

    /// What was written is on the disk then.
    func finish() throws(LedgerError) {
        try flush()
        guard fsync(descriptor) == 0 else { throw ExportFile.failure("syncs", path) }
    }

    private func flush() throws(LedgerError) {
        var rest = buffer[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBufferPointer { bytes in
                unsafe Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            }
            guard count > 0 else { throw ExportFile.failure("writes", path) }
            rest = rest.dropFirst(count)
        }
        buffer.removeAll(keepingCapacity: true)
    }

    static func failure(_ what: String, _ path: String) -> LedgerError {
        LedgerError(
            .unavailable,
            "no export: nothing \(what) \(path): \(unsafe String(cString: strerror(errno)))")
    }
}
