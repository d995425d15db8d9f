import "reflect-metadata";
import { Controller, Get, Injectable, Module, Param } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";

@Injectable()
class Greetings {
  of(name: string): string {
    return `Hello ${name} from NestJS`;
  }
}

@Controller()
class Greeter {
  constructor(private readonly greetings: Greetings) {}

  @Get("/hello/:name")
  hello(@Param("name") name: string): string {
    return this.greetings.of(name);
  }
}

@Module({ controllers: [Greeter], providers: [Greetings] })
class Shop {}

async function main() {
  const app = await NestFactory.create(Shop);
  app.enableShutdownHooks();
  await app.listen(process.env.PORT ?? 3000, "0.0.0.0");
}

void main();
