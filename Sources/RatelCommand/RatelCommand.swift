@main
struct RatelCommand {
    static func main() {}
}
