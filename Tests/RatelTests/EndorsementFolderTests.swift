import FoundationEssentials
import RATS
import Ratel
import Testing

struct EndorsementFolderTests {
    private func folder(_ files: [String: [UInt8]]) throws -> String {
        let path = "/tmp/ratel-endorsements-\(UInt64.random(in: 0 ..< .max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for (name, bytes) in files {
            try Data(bytes).write(to: URL(filePath: path + "/" + name))
        }
        return path
    }

    private func code(_ path: String) -> String {
        do throws(Refusal) {
            _ = try EndorsementFolder.read(path)
            return "read"
        } catch {
            return error.code
        }
    }

    @Test func everyKindOfFileIsPackedInItsOrder() throws {
        let path = try folder([
            "tcb_info.json": [1], "qe_identity.json": [2], "tcb_signing_chain.pem": [3],
            "pck_crl.der": [4], "root_ca_crl.der": [5], "vcek.der": [6], "ark.der": [8],
            "ask.der": [7], "crl.der": [9], "vbios-rim.swidtag.xml": [11],
            "driver-rim.swidtag.xml": [10], "quote.bin": [12], "vector.json": [13],
        ])
        defer { try? FileManager.default.removeItem(atPath: path) }
        let found = try EndorsementFolder.read(path)
        #expect(
            found.map(\.mediaType) == [
                "application/vnd.ratel.dcap-collateral+cbor", "application/pkix-cert",
                "application/pkix-cert", "application/pkix-cert", "application/pkix-crl",
                "application/swid+xml", "application/swid+xml",
            ])
        #expect(found.dropFirst().map(\.bytes) == [[6], [7], [8], [9], [10], [11]])
        #expect(
            found.first?.bytes == [
                0xA5, 1, 0x41, 1, 2, 0x41, 2, 3, 0x41, 3, 4, 0x41, 4, 5, 0x41, 5,
            ])
    }

    @Test func aMissingPartOfCollateralIsEmpty() throws {
        let path = try folder(["tcb_info.json": [1]])
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(
            try EndorsementFolder.read(path).first?.bytes
                == [0xA5, 1, 0x41, 1, 2, 0x40, 3, 0x40, 4, 0x40, 5, 0x40])
    }

    @Test func whatCannotBeReadIsRefused() throws {
        #expect(code("/tmp/ratel-endorsements-nowhere") == "endorsements.folder.unreadable")
        var path = try folder(["ark.der": []])
        #expect(code(path) == "endorsements.file.empty")
        try? FileManager.default.removeItem(atPath: path)
        path = try folder(["ark.der": [UInt8](repeating: 1, count: 512 * 1024 + 1)])
        #expect(code(path) == "endorsements.file.unreadable")
        try? FileManager.default.removeItem(atPath: path)
        path = try folder(["quote.bin": [1]])
        #expect(try EndorsementFolder.read(path).isEmpty)
        try? FileManager.default.removeItem(atPath: path)
    }
}
