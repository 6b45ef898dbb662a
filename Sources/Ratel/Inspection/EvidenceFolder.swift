internal import Appraisal
internal import FoundationEssentials
internal import Keys
internal import Loop

/// Evidence in files, as a person names it on the command line.
enum EvidenceFolder {
    /// Files of one folder that are looked at: the largest layouts have twelve.
    private static let maximumFiles = 64

    /// What lies at a path.
    enum Content {
        /// The bytes of a file.
        case file([UInt8])
        /// A folder's files by name.
        case folder([String: [UInt8]])
        /// Neither, or it cannot be read, and why.
        case unusable(String)
        /// Nothing has this name.
        case absent
    }

    static func read(_ path: String) -> Content {
        if let names = try? FileManager.default.contentsOfDirectory(atPath: path) {
            return folder(path, names)
        }
        guard System.exists(path) else { return .absent }
        let limit = max(EvidenceFile.maximumSize, EvidenceBundle.maximumFile)
        guard let bytes = System.readFile(path, limit: limit) else {
            return .unusable("\(path): cannot be read, or is larger than \(limit) bytes")
        }
        return .file(bytes)
    }

    private static func folder(_ path: String, _ names: [String]) -> Content {
        guard names.count <= maximumFiles else {
            return .unusable("\(path): more than \(maximumFiles) files")
        }
        var files: [String: [UInt8]] = [:]
        for name in names where !name.hasPrefix(".") {
            let file = path + "/" + name
            // What cannot be read is told only when it is asked for: notes may lie beside.
            guard let bytes = System.readFile(file, limit: EvidenceBundle.maximumFile) else {
                continue
            }
            files[name] = bytes
        }
        return .folder(files)
    }
}
