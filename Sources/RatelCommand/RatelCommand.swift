internal import Ratel

@main
struct RatelCommand {
    static func main() {
        let arguments = CommandLine.arguments
        PlainRelay.run(listen: UInt16(arguments[1])!, backend: UInt16(arguments[2])!)
    }
}
