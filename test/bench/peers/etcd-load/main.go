// A closed-loop load on the leader of an etcd cluster: each client puts, waits for the answer and
// puts again. Prints {"perSecond", "p10Ms", "p50Ms", "p99Ms"}. Built with Debian's golang-etcd-server-dev.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/pkg/transport"
)

func main() {
	endpoints := flag.String("endpoints", "", "comma-separated client URLs of the members")
	ca := flag.String("ca", "", "root certificate")
	cert := flag.String("cert", "", "client certificate")
	key := flag.String("key", "", "client key")
	clients := flag.Int("clients", 1, "closed loops")
	connections := flag.Int("connections", 1, "TCP connections that they share")
	warm := flag.Duration("warm", 500*time.Millisecond, "time before measuring")
	run := flag.Duration("run", 2*time.Second, "measured time")
	size := flag.Int("value", 300, "bytes of a value")
	keys := flag.Int("keys", 10000, "different keys")
	flag.Parse()

	tls, err := transport.TLSInfo{CertFile: *cert, KeyFile: *key, TrustedCAFile: *ca}.ClientConfig()
	check(err)
	dial := func(addresses []string) *clientv3.Client {
		client, err := clientv3.New(clientv3.Config{Endpoints: addresses, TLS: tls, DialTimeout: 20 * time.Second})
		check(err)
		return client
	}
	leader := []string{leaderOf(dial, strings.Split(*endpoints, ","))}
	pool := make([]*clientv3.Client, *connections)
	for i := range pool {
		pool[i] = dial(leader)
	}

	value := strings.Repeat("v", *size)
	start := time.Now().Add(*warm)
	end := start.Add(*run)
	taken := make([][]float64, *clients)
	var group sync.WaitGroup
	for i := 0; i < *clients; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			client := pool[i%len(pool)]
			for n := i; ; n += *clients {
				asked := time.Now()
				if asked.After(end) {
					return
				}
				_, err := client.Put(context.Background(), fmt.Sprintf("bench%020d", n%*keys), value)
				check(err)
				done := time.Now()
				if done.After(start) && done.Before(end) {
					taken[i] = append(taken[i], done.Sub(asked).Seconds()*1000)
				}
			}
		}(i)
	}
	group.Wait()

	var all []float64
	for _, some := range taken {
		all = append(all, some...)
	}
	sort.Float64s(all)
	check(json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"perSecond": float64(len(all)) / run.Seconds(),
		"p10Ms":     quantile(all, 0.1),
		"p50Ms":     quantile(all, 0.5),
		"p99Ms":     quantile(all, 0.99),
	}))
}

// leaderOf waits until the cluster has a leader and returns its client URL.
func leaderOf(dial func([]string) *clientv3.Client, endpoints []string) string {
	client := dial(endpoints)
	defer client.Close()
	for {
		for _, endpoint := range endpoints {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			status, err := client.Status(ctx, endpoint)
			cancel()
			if err == nil && status.Leader != 0 && status.Leader == status.Header.MemberId {
				return endpoint
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func quantile(sorted []float64, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(float64(len(sorted)-1)*part)]
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
