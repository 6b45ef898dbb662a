internal import Appraisal
internal import FoundationEssentials
internal import RATS

/// A folder of collateral for use without a network, and folders in it: what `ratel collateral
/// bundle` writes, or anything laid out by the same names.
struct FolderSource: CollateralSource {
    let path: String
    let roots: CollateralRoots
    let now: @Sendable () -> Int64

    /// Folders in the folder: one for each kind of platform and chip of a large fleet.
    private static let maximumFolders = 1_024

    var name: String { "folder \(path)" }

    func serves(_ need: CollateralNeed) -> Bool { true }

    /// The first of the folders that has what is needed, checked: others are for other platforms.
    func fetch(
        _ need: CollateralNeed, deadline: UInt64
    ) throws(CollateralFailure) -> RawCollateral {
        var trouble = "\(path): nothing for \(need)"
        for folder in [path + "/" + need.fileName, path] + folders {
            guard let endorsements = try? EndorsementFolder.read(folder), !endorsements.isEmpty
            else { continue }
            do throws(Refusal) {
                _ = try CheckedCollateral(need, endorsements, roots: roots, now: now())
                return RawCollateral(endorsements: endorsements)
            } catch {
                // Of several reasons, that of a folder for this very platform is the one to tell.
                if error.code != "collateral.other", error.code != "collateral.missing" {
                    trouble = "\(folder): \(error)"
                }
            }
        }
        throw CollateralFailure(trouble)
    }

    private var folders: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.sorted().prefix(FolderSource.maximumFolders).filter { !$0.hasPrefix(".") }
            .map { path + "/" + $0 }
    }
}
