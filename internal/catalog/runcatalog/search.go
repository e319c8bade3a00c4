package runcatalog

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/rawconn"
	"github.com/spillway/spillway/internal/sink/elasticsearch"
)

// searchWriteBuffer holds a piece of a body, so that it leaves by one call of the
// system.
const searchWriteBuffer = 160 << 10

func (s *Surroundings) searchSink(plan *runfile.SearchSink) (*catalog.Destination, error) {
	transport, err := searchTransport(plan)
	if err != nil {
		return nil, err
	}
	o := elasticsearch.Options{
		Hosts: plan.Hosts, Transport: transport, Username: plan.Username, UserAgent: s.UserAgent, Gzip: plan.Gzip,
		RequestSize: int(plan.RequestSize), Events: plan.RequestRecords, InFlight: plan.InFlight,
		Index: plan.Index, IndexField: plan.IndexField, DataStream: plan.DataStream,
		Operation: elasticsearch.Operation(plan.Operation), ID: elasticsearch.IDs(plan.ID), IDFieldName: plan.IDField,
		HashFields: plan.HashFields, HashTag: plan.HashTag, HashTime: plan.HashTime, RoutingField: plan.RoutingField,
		Pipeline: plan.Pipeline, RetryOnConflict: plan.RetryOnConflict, RequireAlias: plan.RequireAlias,
		TextKey: plan.TextKey, TagKey: plan.TagKey, TimeKey: plan.TimeKey, TimeFormat: elasticsearch.TimeFormat(plan.TimeFormat),
		RemoveKeys: plan.RemoveKeys, DropConflicts: plan.OnConflict == "drop", RejectRefused: plan.OnRefused == "dead-letter",
		Header: http.Header{},
	}
	for _, h := range plan.Headers {
		o.Header.Add(h[0], h[1])
	}
	for _, one := range []struct {
		from runfile.Secret
		to   *string
	}{{plan.Password, &o.Password}, {plan.APIKey, &o.APIKey}, {plan.Bearer, &o.Bearer}} {
		if *one.to, err = one.from.Read(s.Getenv); err != nil {
			return nil, err
		}
	}
	if plan.AWSService != "" {
		if o.Signer, err = s.searchSigner(plan); err != nil {
			return nil, err
		}
	}
	if o.Setup, err = searchSetup(plan); err != nil {
		return nil, err
	}
	made, err := elasticsearch.New(o)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, u := range plan.Hosts {
		names = append(names, u.Host)
	}
	return &catalog.Destination{
		Name: "elasticsearch " + strings.Join(names, ",") + "/" + plan.Index.String(), Sink: made, FlushInterval: plan.FlushInterval,
		AttemptTimeout: plan.RequestTimeout,
	}, nil
}

// searchTransport makes the connections: HTTP/1.1, since a body is written in pieces.
func searchTransport(plan *runfile.SearchSink) (*http.Transport, error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	config, err := clientTLS(&plan.ClientTLS)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: plan.ConnectTimeout, Control: awsauth.CapSendBuffer}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return rawconn.Wrap(c), nil
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dial, TLSClientConfig: config,
		TLSHandshakeTimeout: plan.ConnectTimeout, MaxIdleConnsPerHost: plan.InFlight, IdleConnTimeout: 90 * time.Second,
		Protocols: protocols, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		WriteBufferSize: searchWriteBuffer, ReadBufferSize: 32 << 10,
	}, nil
}

// searchSigner finds credentials and region when the first request is signed.
func (s *Surroundings) searchSigner(plan *runfile.SearchSink) (func(context.Context) (elasticsearch.Signer, error), error) {
	auth := awsauth.Options{CredentialsEndpoint: plan.CredentialsURL, Region: plan.Region}
	if err := section(&auth, &plan.AWS); err != nil {
		return nil, err
	}
	provide, findRegion := s.Provider, s.Region
	if provide == nil {
		provide, findRegion = awsauth.Provider, awsauth.Region
	}
	provider, err := provide(auth)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (elasticsearch.Signer, error) {
		region, err := findRegion(ctx, auth)
		if err != nil {
			return nil, err
		}
		return awsauth.NewServiceSigner(provider, region, plan.AWSService), nil
	}, nil
}

// searchSetup reads what is put before the first record.
func searchSetup(plan *runfile.SearchSink) (elasticsearch.Setup, error) {
	setup := elasticsearch.Setup{
		Alias: plan.RolloverAlias, PolicyAPI: elasticsearch.PolicyAPI(plan.PolicyAPI), Overwrite: plan.Overwrite,
	}
	var errs []error
	read := func(all []runfile.SearchDocument) (made []elasticsearch.Document) {
		for i := range all {
			body, err := all[i].Read()
			errs = append(errs, err)
			made = append(made, elasticsearch.Document{Name: all[i].Name, Body: body})
		}
		return made
	}
	setup.Policies, setup.Components = read(plan.Policies), read(plan.Components)
	setup.Templates, setup.Legacy = read(plan.Templates), read(plan.Legacy)
	return setup, errors.Join(errs...)
}
