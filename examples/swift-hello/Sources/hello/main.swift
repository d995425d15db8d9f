import Foundation

guard let file = Bundle.module.url(forResource: "greeting", withExtension: "txt") else {
    fatalError("greeting.txt is not beside the program")
}
let greeting = try String(contentsOf: file, encoding: .utf8)
print(greeting.trimmingCharacters(in: .whitespacesAndNewlines), "from Swift!")
