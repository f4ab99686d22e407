import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Java's own client, with its defaults: it asks each time for an upgrade to HTTP/2.
 *
 * <pre>java Requests.java BASE COUNT THREADS LARGEST</pre>
 *
 * Sends COUNT GETs and COUNT POSTs with bodies of up to LARGEST bytes. Prints for each method a line with
 * its name, the requests that were sent, those that failed, and how the first one did.
 */
public class Requests {
    static final HttpClient CLIENT = HttpClient.newHttpClient();

    final String method;
    final AtomicInteger left;
    final AtomicInteger failed = new AtomicInteger();
    volatile String first = "";

    Requests(String method, int count) {
        this.method = method;
        this.left = new AtomicInteger(count);
    }

    /** Sends one more request, where there is one left. */
    boolean next(String base, int largest, Random random) {
        int number = left.getAndDecrement();
        if (number <= 0) {
            return false;
        }
        String wrong;
        try {
            wrong = method.equals("GET") ? get(base, "java-" + number) : post(base, largest, random);
        } catch (Exception error) {
            wrong = error.toString();
        }
        if (!wrong.isEmpty() && failed.getAndIncrement() == 0) {
            first = wrong.replace('\n', ' ');
        }
        return true;
    }

    static String get(String base, String name) throws Exception {
        HttpRequest request = request(base + "/api/v1/hello?name=" + name).GET().build();
        HttpResponse<byte[]> answer = CLIENT.send(request, BodyHandlers.ofByteArray());
        String text = new String(answer.body(), StandardCharsets.UTF_8);
        return wrong(answer, text.startsWith("{\"message\":\"Hello, " + name + "!\""), text);
    }

    static String post(String base, int largest, Random random) throws Exception {
        // Half of them are short: their answers seldom begin before their end, so the connection is kept.
        byte[] body = new byte[random.nextInt((random.nextBoolean() ? Math.min(500, largest) : largest) + 1)];
        random.nextBytes(body);
        // Of some, the client does not know the length: they go in chunks.
        var publisher = random.nextInt(4) > 0
            ? BodyPublishers.ofByteArray(body)
            : BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body));
        HttpRequest request = request(base + "/debug/echo").POST(publisher).build();
        HttpResponse<byte[]> answer = CLIENT.send(request, BodyHandlers.ofByteArray());
        return wrong(answer, Arrays.equals(answer.body(), body),
            answer.body().length + " bytes that are not the " + body.length + " that were sent");
    }

    static HttpRequest.Builder request(String url) {
        return HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofSeconds(5));
    }

    static String wrong(HttpResponse<byte[]> answer, boolean body, String text) {
        if (answer.statusCode() != 200) {
            return "status " + answer.statusCode();
        }
        return body ? "" : "the body is " + text;
    }

    public static void main(String[] arguments) throws Exception {
        String base = arguments[0];
        int count = Integer.parseInt(arguments[1]);
        int threads = Integer.parseInt(arguments[2]);
        int largest = Integer.parseInt(arguments[3]);
        Requests gets = new Requests("GET", count);
        Requests posts = new Requests("POST", count);
        var pool = Executors.newFixedThreadPool(threads);
        for (int thread = 0; thread < threads; thread++) {
            pool.execute(() -> {
                Random random = new Random();
                boolean sent = true;
                while (sent) {
                    // In any order on the connections that they share.
                    Requests one = random.nextBoolean() ? gets : posts;
                    Requests other = one == gets ? posts : gets;
                    sent = one.next(base, largest, random) || other.next(base, largest, random);
                }
            });
        }
        pool.shutdown();
        if (!pool.awaitTermination(10, TimeUnit.MINUTES)) {
            throw new IllegalStateException("it does not come to an end");
        }
        for (Requests each : new Requests[] {gets, posts}) {
            System.out.println(each.method + " " + count + " " + each.failed + " " + each.first);
        }
    }
}
