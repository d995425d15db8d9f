package example;

import java.util.List;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class Orchard {
    record Apple(String name, String month) {}

    public static void main(String[] arguments) {
        SpringApplication.run(Orchard.class, arguments);
    }

    @GetMapping("/")
    List<Apple> apples() {
        return List.of(new Apple("Boskoop", "October"), new Apple("Gravensteiner", "August"));
    }
}
